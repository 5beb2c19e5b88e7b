//! A target whose tables stand already.

mod database;

use std::time::Duration;

use database::{Databases, ask};
use trunkline_changes::TableName;
use trunkline_load::{
    LoadError, LoadOptions, SplitSizes, StructureSource, drop_tables, existing_objects,
};
use trunkline_testkit::{connect, skip_unless_available, until};

const PATIENCE: Duration = Duration::from_mins(1);

fn rows_only() -> LoadOptions {
    LoadOptions {
        structure: StructureSource::Target,
        split: SplitSizes {
            cut_bytes: 64 << 10,
            chunk_bytes: 64 << 10,
            key_split_bytes: 1 << 30,
            key_range_bytes: 64 << 10,
        },
        ..LoadOptions::default()
    }
}

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, at date NOT NULL, twice int GENERATED ALWAYS AS (id * 2) STORED)";

#[tokio::test]
async fn leaves_go_where_their_ancestor_stands() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases
        .on_source(
            "CREATE TABLE orders (id int, at date, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); \
             CREATE TABLE orders_a PARTITION OF orders FOR VALUES FROM (MINVALUE) TO ('2024-01-01'); \
             CREATE TABLE orders_b PARTITION OF orders DEFAULT; \
             INSERT INTO orders SELECT n, '2023-06-01'::date + n, repeat('x', 500) FROM generate_series(1, 900) n",
        )
        .await;
    databases
        .on_target("CREATE TABLE orders (note text, at date, id bigint PRIMARY KEY)")
        .await;
    databases.load(rows_only()).await.expect("a load");
    let sums = "SELECT count(*) || ' ' || sum(id) || ' ' || min(at) || ' ' || sum(length(note)) FROM orders";
    assert_eq!(
        databases.ask_target(sums).await,
        database::ask(&databases.source, sums).await
    );
}

#[tokio::test]
async fn rows_of_others_are_never_mixed_with_ours() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(ORDERS).await;
    databases.on_target(ORDERS).await;
    databases
        .on_target("INSERT INTO orders VALUES (1, now())")
        .await;
    let error = databases.load(rows_only()).await.err().expect("refused");
    assert!(matches!(error, LoadError::TargetNotEmpty { .. }), "{error}");
}

#[tokio::test]
async fn rows_of_others_that_come_while_a_table_waits_are_never_emptied() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases
        .on_source(
            "CREATE TABLE first AS SELECT n AS id, repeat('x', 500) AS body FROM generate_series(1, 9000) n; \
             CREATE TABLE second AS SELECT n AS id, repeat('y', 500) AS body FROM generate_series(1, 4000) n",
        )
        .await;
    let loader = databases.loader(LoadOptions {
        jobs: 1,
        ..LoadOptions::default()
    });
    loader.prepare_ledger().await.expect("a ledger");
    let inventory = loader.inventory(databases.directory.path()).await;
    let inventory = inventory.expect("an inventory");
    let restored = loader.restore_pre_data(&inventory).await;
    restored.expect("the tables are made");
    // The larger one comes first, and has to wait.
    let holder = connect(&databases.source).await;
    let hold = "BEGIN; LOCK TABLE first IN ACCESS EXCLUSIVE MODE";
    holder.batch_execute(hold).await.expect("it is held");
    let waits = "SELECT (count(*) > 0)::text FROM pg_locks WHERE NOT granted";
    let (copied, ()) = tokio::join!(Box::pin(loader.copy_and_build(&inventory)), async {
        until(PATIENCE, async || {
            ask(&databases.source, waits).await == "true"
        })
        .await;
        databases
            .on_target("INSERT INTO second VALUES (0, 'somebody''s')")
            .await;
        holder.batch_execute("ROLLBACK").await.expect("let go");
    });
    let error = copied.expect_err("refused");
    assert!(matches!(error, LoadError::TargetNotEmpty { .. }), "{error}");
    let theirs = databases.ask_target("SELECT body FROM second").await;
    assert_eq!(theirs, "somebody's");
}

#[tokio::test]
async fn a_trigger_that_would_fire_is_refused_and_an_ordinary_one_does_not_fire() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(ORDERS).await;
    databases
        .on_source("INSERT INTO orders SELECT n, now() FROM generate_series(1, 50) n")
        .await;
    databases.on_target(ORDERS).await;
    databases
        .on_target(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END'; \
             CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse(); \
             ALTER TABLE orders ENABLE ALWAYS TRIGGER refuse",
        )
        .await;
    let error = databases.load(rows_only()).await.err().expect("refused");
    assert!(
        matches!(error, LoadError::TriggersWouldFire { .. }),
        "{error}"
    );
    databases
        .on_target("ALTER TABLE orders ENABLE TRIGGER refuse")
        .await;
    databases.load(rows_only()).await.expect("a load");
    databases.assert_same_contents().await;
}

#[tokio::test]
async fn what_stands_is_found_and_only_that_is_dropped() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(ORDERS).await;
    databases.on_source("CREATE TABLE items (id int PRIMARY KEY, o int REFERENCES orders); INSERT INTO orders VALUES (1, now()); INSERT INTO items VALUES (1, 1)").await;
    databases
        .on_target("CREATE TABLE orders (other text); CREATE TABLE bystander (id int)")
        .await;
    let loader = databases.loader(LoadOptions::default());
    loader.prepare_ledger().await.expect("a ledger");
    let inventory = loader
        .inventory(databases.directory.path())
        .await
        .expect("an inventory");
    let orders = TableName::new("public", "orders");
    let mut target = databases.target_session().await;
    let existing = existing_objects(&mut target, &inventory.structure)
        .await
        .expect("looked");
    assert_eq!(existing.len(), 1);
    assert_eq!(existing[0].name, orders);

    let error = loader
        .restore_pre_data(&inventory)
        .await
        .expect_err("it stands");
    assert!(error.to_string().contains("TABLE public.orders"), "{error}");
    drop_tables(
        &mut target,
        &inventory.structure,
        std::slice::from_ref(&orders),
    )
    .await
    .expect("dropped");
    databases
        .load(LoadOptions::default())
        .await
        .expect("a load");
    assert_eq!(
        databases
            .ask_target("SELECT count(*)::text FROM items JOIN orders ON o = orders.id")
            .await,
        "1"
    );

    // Dropped again after a whole load, it comes back with its index and its foreign keys.
    let items = TableName::new("public", "items");
    drop_tables(&mut target, &inventory.structure, &[orders, items])
        .await
        .expect("dropped");
    databases
        .load(LoadOptions::default())
        .await
        .expect("a load");
    let keys = "SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint WHERE contype IN ('p', 'f') AND connamespace = 'public'::regnamespace";
    assert_eq!(
        databases.ask_target(keys).await,
        "items_o_fkey items_pkey orders_pkey"
    );
    assert_eq!(
        databases
            .ask_target("SELECT count(*)::text FROM bystander")
            .await,
        "0"
    );
}
