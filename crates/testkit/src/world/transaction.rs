//! One random transaction of a shop's client, as statements.
//!
//! Everything that is chosen comes from the seed; which rows a statement meets depends on what
//! the other writers did before.

use fastrand::Rng;

/// A transaction of this many statements is still quick; see [`big`] for the others.
const MOST_STATEMENTS: u32 = 6;
/// One transaction of so many is a big one.
const BIG_ONE_IN: u32 = 60;
/// One transaction of so many is rolled back.
const ROLLED_BACK_ONE_IN: u32 = 15;

/// What a transaction does, and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    /// Statements between BEGIN and the end.
    pub(super) statements: Vec<String>,
    /// Whether it ends in ROLLBACK.
    pub(super) rolls_back: bool,
}

impl Transaction {
    /// The next transaction of a writer.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let mut statements = Vec::new();
        if rng.u32(0..BIG_ONE_IN) == 0 {
            statements.push(big(rng));
        }
        for _ in 0..rng.u32(1..=MOST_STATEMENTS) {
            push_random(rng, &mut statements);
        }
        Self {
            statements,
            rolls_back: rng.u32(0..ROLLED_BACK_ONE_IN) == 0,
        }
    }
}

/// One statement, or a savepoint with some of which a part is undone.
fn push_random(rng: &mut Rng, statements: &mut Vec<String>) {
    if rng.u32(0..8) > 0 {
        statements.push(statement(rng));
        return;
    }
    statements.push("SAVEPOINT a".to_owned());
    statements.push(statement(rng));
    if rng.bool() {
        statements.push("SAVEPOINT b".to_owned());
        statements.push(statement(rng));
        statements.push("RELEASE b".to_owned());
    }
    let end = if rng.bool() {
        "RELEASE a"
    } else {
        "ROLLBACK TO a"
    };
    statements.push(end.to_owned());
    statements.push(statement(rng));
}

fn statement(rng: &mut Rng) -> String {
    const KINDS: [fn(&mut Rng) -> String; 14] = [
        new_customer,
        change_customer,
        remove_customer,
        place_order,
        place_order,
        change_order,
        remove_order,
        rename_product,
        move_stock,
        new_event,
        change_event,
        write_document,
        touch_document,
        replace_document,
    ];
    KINDS[rng.usize(0..KINDS.len())](rng)
}

fn new_customer(rng: &mut Rng) -> String {
    let (n, balance) = (rng.u64(..), rng.u32(0..100_000));
    format!(
        "INSERT INTO shop.customers (email, name, balance, profile) VALUES \
         ('w{n:x}@example.com', 'Wrïter {n}', {balance} / 100.0, '{{\"n\":  {balance}}}') \
         ON CONFLICT DO NOTHING"
    )
}

fn change_customer(rng: &mut Rng) -> String {
    let (some, amount) = (some_row("shop.customers", "id", rng), rng.i32(-500..500));
    format!(
        "UPDATE shop.customers SET balance = balance + {amount}, changed_at = clock_timestamp(), \
         tags = tags[1:4] || 'w{amount}'::text WHERE id = {some}"
    )
}

fn remove_customer(rng: &mut Rng) -> String {
    let some = some_row("shop.customers", "id", rng);
    format!("DELETE FROM shop.customers WHERE id = {some}")
}

fn place_order(rng: &mut Rng) -> String {
    let some = some_row("shop.customers", "id", rng);
    let (lines, pieces) = (rng.u32(1..8), rng.u32(1..10));
    format!(
        "WITH placed AS (INSERT INTO shop.orders (customer_id, note) \
         SELECT id, 'written' FROM shop.customers WHERE id = {some} RETURNING id) \
         INSERT INTO shop.order_lines SELECT placed.id, line, 'sku-' || line, {pieces}, 1.50 \
         FROM placed, generate_series(1, {lines}) AS line"
    )
}

fn change_order(rng: &mut Rng) -> String {
    let some = some_row("shop.orders", "id", rng);
    let state = ["new", "paid", "shipped", "returned"][rng.usize(0..4)];
    format!("UPDATE shop.orders SET state = '{state}', note = note || '.' WHERE id = {some}")
}

fn remove_order(rng: &mut Rng) -> String {
    let some = some_row("shop.orders", "id", rng);
    format!("DELETE FROM shop.orders WHERE id = {some}")
}

/// Changes a primary key, and by cascade a part of the keys of another table.
fn rename_product(rng: &mut Rng) -> String {
    let (some, n) = (some_row("shop.products", "sku", rng), rng.u64(..));
    format!("UPDATE shop.products SET sku = 'sku-{n:x}', price = price + 0.01 WHERE sku = {some}")
}

fn move_stock(rng: &mut Rng) -> String {
    let (some, place) = (some_row("shop.products", "sku", rng), rng.u32(0..10_000));
    format!(
        "INSERT INTO shop.stock SELECT sku, {place}, 1 FROM shop.products WHERE sku = {some} \
         ON CONFLICT (place, sku) DO UPDATE SET pieces = stock.pieces + 1"
    )
}

fn new_event(rng: &mut Rng) -> String {
    let (bucket, n) = (rng.u32(0..5), rng.u32(0..100));
    format!(
        "INSERT INTO shop.events (bucket, kind, payload) \
         SELECT {bucket}, 'written', '{{\"n\": {n}}}' FROM generate_series(1, {n} % 3 + 1)"
    )
}

/// Changes rows of a table without a key; a new bucket moves them to another partition.
fn change_event(rng: &mut Rng) -> String {
    let (bucket, offset) = (rng.u32(0..5), rng.u32(0..200));
    let change = if rng.bool() {
        format!("UPDATE shop.events SET bucket = {bucket}, kind = kind || '!'")
    } else {
        "DELETE FROM shop.events".to_owned()
    };
    format!(
        "{change} WHERE (tableoid, ctid) IN \
         (SELECT tableoid, ctid FROM shop.events OFFSET {offset} LIMIT 1)"
    )
}

fn write_document(rng: &mut Rng) -> String {
    let (n, size) = (rng.u64(..), rng.u32(1..400));
    format!(
        "INSERT INTO shop.documents VALUES (md5('{n}')::uuid, 1, \
         (SELECT string_agg(md5(({n} + i)::text), '') FROM generate_series(1, {size}) AS i), NULL)"
    )
}

/// Leaves the long values as they are: they are not sent in the stream.
fn touch_document(rng: &mut Rng) -> String {
    let some = some_row("shop.documents", "id", rng);
    format!("UPDATE shop.documents SET version = version + 1 WHERE id = {some}")
}

/// Deletes a document and inserts it under the same key in one statement each.
fn replace_document(rng: &mut Rng) -> String {
    let some = some_row("shop.documents", "id", rng);
    format!(
        "WITH gone AS (DELETE FROM shop.documents WHERE id = {some} RETURNING *) \
         INSERT INTO shop.documents \
         SELECT md5(id::text)::uuid, 1, body || 'again', attachment FROM gone \
         ON CONFLICT DO NOTHING"
    )
}

/// Changes many rows at once.
fn big(rng: &mut Rng) -> String {
    let (n, part) = (rng.u32(500..3_000), rng.u32(0..7));
    match rng.u32(0..3) {
        0 => format!(
            "INSERT INTO shop.events (bucket, kind) \
             SELECT i % 5, 'bulk' FROM generate_series(1, {n}) AS i"
        ),
        1 => format!("UPDATE shop.orders SET note = 'bulk {n}' WHERE id % 7 = {part}"),
        _ => format!("DELETE FROM shop.journal WHERE id % 7 = {part}"),
    }
}

/// A subquery for the key of some existing row: the first at or after a random place in the
/// order of the keys' hashes would need a scan, so small random offsets from either end serve.
fn some_row(table: &str, key: &str, rng: &mut Rng) -> String {
    let direction = if rng.bool() { "ASC" } else { "DESC" };
    let offset = rng.u32(0..150);
    format!("(SELECT {key} FROM {table} ORDER BY {key} {direction} OFFSET {offset} LIMIT 1)")
}

#[cfg(test)]
mod tests {
    use super::Transaction;
    use fastrand::Rng;

    #[test]
    fn the_same_seed_gives_the_same_transactions() {
        let of = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..200)
                .map(|_| Transaction::random(&mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }
}
