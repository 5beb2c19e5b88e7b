//! Tables, columns and rows that are not on the target what they are on the source, while
//! writers go on, and what cannot be done is said beforehand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinHandle;
use trunkline_testkit::contents::catalog;
use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::{Scene, assert_same_catalog, seed};

/// Customers with a secret that half of the schema looks at, orders that refer to them, and a
/// partitioned log.
const SHOP: &str = "
    CREATE SCHEMA shop;
    CREATE TABLE shop.customers (id serial PRIMARY KEY, name text NOT NULL, secret text,
        CONSTRAINT secrets_are_long CHECK (length(secret) > 2));
    CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer int NOT NULL REFERENCES shop.customers, total numeric, number serial, note text);
    CREATE INDEX orders_by_customer ON shop.orders (customer, total);
    CREATE INDEX customers_by_secret ON shop.customers (secret);
    CREATE VIEW shop.secrets AS SELECT name, secret FROM shop.customers;
    CREATE VIEW shop.totals AS SELECT customer, sum(total) AS sum FROM shop.orders GROUP BY 1;
    COMMENT ON COLUMN shop.customers.secret IS 'what nobody may know';
    CREATE TABLE shop.log (at int, secret text, what text, PRIMARY KEY (at)) PARTITION BY RANGE (at);
    CREATE TABLE shop.log_1 PARTITION OF shop.log FOR VALUES FROM (0) TO (1000);
    CREATE TABLE shop.log_2 PARTITION OF shop.log FOR VALUES FROM (1000) TO (1000000);
    INSERT INTO shop.customers (name, secret) SELECT 'c' || n, 'secret ' || n
        FROM generate_series(1, 300) AS n;
    INSERT INTO shop.orders (customer, total, note) SELECT n, n * 1.5, 'n' || n
        FROM generate_series(1, 300) AS n;
    INSERT INTO shop.log SELECT n * 7, 'secret', 'w' || n FROM generate_series(1, 300) AS n";

/// A client of the source that comes again when it is thrown out.
struct Writer {
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Writer {
    fn start(scene: &Scene, seed: u64, statement: fn(&mut Rng) -> String) -> Self {
        let (stop, committed) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told, counted, uri) = (
            Arc::clone(&stop),
            Arc::clone(&committed),
            scene.source.uri(&scene.database),
        );
        let task = tokio::spawn(async move {
            let mut rng = Rng::with_seed(seed);
            let mut client = None;
            while !told.load(Ordering::Relaxed) {
                let Some(connected) = &client else {
                    client = tokio_postgres::connect(&uri, tokio_postgres::NoTls)
                        .await
                        .ok()
                        .map(|(client, connection)| {
                            tokio::spawn(connection);
                            client
                        });
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                let connected: &tokio_postgres::Client = connected;
                match connected.batch_execute(&statement(&mut rng)).await {
                    Ok(()) => {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) if connected.is_closed() => client = None,
                    Err(_) => {}
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Writer {
            stop,
            committed,
            task,
        }
    }

    /// Waits until some more was written.
    async fn goes_on(&self) {
        let before = self.committed.load(Ordering::Relaxed);
        until(Duration::from_mins(1), async || {
            self.committed.load(Ordering::Relaxed) > before + 20
        })
        .await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the writer ends well");
        assert!(self.committed.load(Ordering::Relaxed) > 0);
    }
}

/// Everything that can happen to a row, over all tables.
fn shopping(rng: &mut Rng) -> String {
    let (id, n) = (rng.u32(1..400), rng.u32(..));
    match rng.u32(0..8) {
        0 => format!("INSERT INTO shop.customers (name, secret) VALUES ('new {n}', 'secret {n}')"),
        1 => format!("UPDATE shop.customers SET secret = 'secret {n}' WHERE id = {id}"),
        2 => format!("UPDATE shop.customers SET name = 'n{n}', secret = NULL WHERE id = {id}"),
        3 => format!(
            "INSERT INTO shop.orders (customer, total, note) SELECT id, {n}, repeat('long ', 2000) \
             FROM shop.customers ORDER BY id DESC LIMIT 2"
        ),
        4 => format!("UPDATE shop.orders SET total = {n}.25 WHERE id = {id}"),
        5 => format!("DELETE FROM shop.orders WHERE id = {id}"),
        6 => format!(
            "INSERT INTO shop.log VALUES ({n} % 900000, 'secret', 'w') ON CONFLICT DO NOTHING"
        ),
        _ => format!("UPDATE shop.log SET what = 'x{n}' WHERE at = {id} * 7"),
    }
}

fn hash(row: &str, from: &str) -> String {
    format!(
        "SELECT count(*) || ' ' || coalesce(md5(string_agg(r, ',' ORDER BY r COLLATE \"C\")), '') \
             FROM (SELECT row({row})::text AS r FROM {from}) AS rows"
    )
}

const STORE: &str = r#"
[transform]
rename_schemas = { shop = "Store" }

[[transform.tables]]
table = "shop.customers"
to = "Store.people"
leave_out = ["secret"]
rename_columns = { name = "full name" }

[[transform.tables]]
table = "shop.orders"
rename_columns = { total = "note", note = "total" }

[[transform.tables]]
table = "shop.log"
leave_out = ["secret"]
"#;

fn assert_store(scene: &Scene) {
    for (row, from, there_row, there) in [
        (
            "id, name",
            "shop.customers",
            "id, \"full name\"",
            "\"Store\".people",
        ),
        (
            "id, customer, total, number, note",
            "shop.orders",
            "id, customer, note, number, total",
            "\"Store\".orders",
        ),
        ("at, what", "shop.log", "at, what", "\"Store\".log"),
        ("at, what", "shop.log_1", "at, what", "\"Store\".log_1"),
        (
            "customer, sum",
            "shop.totals",
            "customer, sum",
            "shop.totals",
        ),
    ] {
        let (here, there) = (hash(row, from), hash(there_row, there));
        assert_eq!(
            scene.source_says(&here),
            scene.target_says(&there),
            "{from}"
        );
    }
    let secrets = "SELECT count(*) FROM pg_attribute WHERE attname = 'secret' AND attnum > 0";
    assert_eq!(scene.target_says(secrets).trim(), "0");
}

/// Names and columns, from a restored structure to the end.
async fn moved_into_the_store(source: u32, target: u32) {
    skip_unless_available!(source);
    skip_unless_available!(target);
    let mut scene = Scene::new(source, target).await.with(SHOP);
    scene.plan(STORE);
    let checked = scene.trunkline(&["check"]).await;
    assert!(checked.stdout.contains("way-back-left-behind"), "{checked}");
    let writer = Writer::start(&scene, seed(), shopping);
    let ran = scene.done(&["run", "--until", "following"]).await;
    ran.expect_said(&[
        "VIEW shop.secrets was left out",
        "INDEX shop.customers_by_secret was left out",
        "secrets_are_long",
    ]);
    writer.goes_on().await;
    scene.done(&["run", "--until", "verified"]).await;
    let refused = scene.trunkline(&["cutover"]).await.expect_code(9);
    refused.expect_said(&["--no-way-back"]);
    let report = scene.done(&["verify", "--json"]).await.json();
    let not_compared = report["not_compared"].to_string();
    assert!(not_compared.contains("shop.customers.secret"), "{report:#}");
    scene.done(&["cutover", "--no-way-back"]).await;
    writer.stop().await;
    assert_store(&scene);
    // Sequences stand where they stood, whatever owns them now.
    for (table, column, there) in [
        ("shop.customers", "id", "\"Store\".people"),
        ("shop.orders", "id", "\"Store\".orders"),
        ("shop.orders", "number", "\"Store\".orders"),
    ] {
        let value = |table: &str| {
            format!(
                "SELECT last_value FROM pg_sequences WHERE format('%I.%I', schemaname, sequencename)::regclass = pg_get_serial_sequence('{table}', '{column}')::regclass"
            )
        };
        let (here, there) = (value(table), value(there));
        assert_eq!(
            scene.source_says(&here),
            scene.target_says(&there),
            "{table}"
        );
    }
    // What moved is whole: keys, references, partitions.
    let refused = "DO $$ BEGIN INSERT INTO \"Store\".orders (customer) VALUES (-1); \
                   RAISE 'taken'; EXCEPTION WHEN foreign_key_violation THEN NULL; END $$";
    scene.target_says(refused);
    scene.target_says("INSERT INTO \"Store\".log VALUES (999999, 'later')");
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_columns_change_on_the_way_from_15_to_17() {
    moved_into_the_store(15, 17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_columns_change_on_the_way_from_13_to_16() {
    moved_into_the_store(13, 16).await;
}

/// Two tables exchange their names, and a column gets another: nothing stays behind, so the
/// way back is open.
const EXCHANGE: &str = r#"
[[transform.tables]]
table = "shop.customers"
to = "shop.orders"
rename_columns = { name = "called" }

[[transform.tables]]
table = "shop.orders"
to = "shop.customers"
"#;

fn assert_exchanged(scene: &Scene) {
    for (row, from, there_row, there) in [
        (
            "id, name, secret",
            "shop.customers",
            "id, called, secret",
            "shop.orders",
        ),
        (
            "id, customer, total",
            "shop.orders",
            "id, customer, total",
            "shop.customers",
        ),
        ("at, what", "shop.log", "at, what", "shop.log"),
    ] {
        let (here, there) = (hash(row, from), hash(there_row, there));
        assert_eq!(
            scene.source_says(&here),
            scene.target_says(&there),
            "{from}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_tables_come_back_and_go_again_although_the_program_is_killed() {
    skip_unless_available!(any_major());
    let mut scene = Scene::new(any_major(), any_major()).await.with(SHOP);
    let before = catalog(&scene.on_source().await).await;
    scene.plan(EXCHANGE);
    let seed = seed();
    let writer = Writer::start(&scene, seed, shopping);
    let mut rng = Rng::with_seed(seed);
    for step in ["structure", "foreign keys", "names of the target"] {
        let mut running = scene.start(&["run", "--until", "following"]);
        running.says(step).await;
        tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
        running.kill().await;
    }
    scene.done(&["run", "--until", "verified"]).await;
    writer.goes_on().await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert!(report["way_back_lsn"].is_string(), "{report:#}");
    writer.stop().await;
    assert_exchanged(&scene);

    // The target serves by its own names, and the source hears of it by its own.
    scene.target_says("INSERT INTO shop.orders (called, secret) VALUES ('back', 'secret')");
    scene.target_says("UPDATE shop.customers SET total = -1 WHERE id % 3 = 0");
    scene.target_says("DELETE FROM shop.customers WHERE id % 7 = 0");
    scene.done(&["verify"]).await;
    let report = scene.done(&["rollback", "--json"]).await.json();
    assert_eq!(report["serves"], "source", "{report:#}");
    assert_exchanged(&scene);
    scene.source_says("INSERT INTO shop.customers (name) VALUES ('there again')");
    scene.done(&["cutover"]).await;
    assert_exchanged(&scene);
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transformed_migration_that_is_given_up_leaves_nothing() {
    skip_unless_available!(any_major());
    let mut scene = Scene::new(any_major(), any_major()).await.with(SHOP);
    let before = scene.catalogs().await;
    scene.plan(STORE);
    scene.done(&["run", "--until", "following"]).await;
    let other = scene.path("other.toml");
    std::fs::write(&other, "[transform]\nrename_schemas = { shop = \"x\" }\n").expect("written");
    let other = other.display().to_string();
    let refused = scene.trunkline(&["verify", "--plan", &other]).await;
    refused.expect_code(9).expect_said(&["transformations"]);
    scene.done(&["abort"]).await;
    let after = scene.catalogs().await;
    assert_same_catalog("source", &before.0, &after.0);
    assert_same_catalog("target", &before.1, &after.1);
}

const STANDING: &str = "
    CREATE SCHEMA \"Store\";
    CREATE TABLE \"Store\".people (\"full name\" text, id int PRIMARY KEY);
    CREATE TABLE \"Store\".orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int,
        note numeric, number serial, total text);
    CREATE TABLE \"Store\".log (what text, at int PRIMARY KEY) PARTITION BY RANGE (at);
    CREATE TABLE \"Store\".log_1 PARTITION OF \"Store\".log FOR VALUES FROM (0) TO (1000);
    CREATE TABLE \"Store\".log_2 PARTITION OF \"Store\".log FOR VALUES FROM (1000) TO (1000000)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_stand_there_are_filled_by_their_own_names() {
    skip_unless_available!(any_major());
    let mut scene = Scene::new(any_major(), any_major()).await.with(SHOP);
    scene.plan(STORE);
    let writer = Writer::start(&scene, seed(), shopping);
    let missing = scene.trunkline(&["check", "--no-structure"]).await;
    assert!(missing.stdout.contains("Store"), "{missing}");
    scene.target_says(STANDING);
    scene
        .done(&["run", "--until", "verified", "--no-structure"])
        .await;
    writer.goes_on().await;
    writer.stop().await;
    scene.done(&["verify"]).await;
    let (here, there) = (
        hash("id, name", "shop.customers"),
        hash("id, \"full name\"", "\"Store\".people"),
    );
    assert_eq!(scene.source_says(&here), scene.target_says(&there));
    scene.done(&["abort"]).await;
    assert_eq!(scene.source_says(&here), scene.target_says(&there));
}
