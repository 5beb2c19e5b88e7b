//! A target that crashes takes back what it had answered, for commits of the copy do not wait
//! for its disk: what was lost is made and copied again.

mod database;

use std::time::Duration;

use database::{Databases, load_with};
use trunkline_load::{LoadError, LoadOptions, SplitSizes};
use trunkline_testkit::{Cluster, connect, skip_unless_available, until};

/// Small tables, and two that are cut: by pages and by the key.
const TABLES: &str = "\
    CREATE TABLE numbered (id int PRIMARY KEY, body text); \
    INSERT INTO numbered SELECT n, repeat('x', 300) FROM generate_series(1, 6000) n; \
    CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY, body text); \
    INSERT INTO fleeting SELECT n, repeat('z', 300) FROM generate_series(1, 3000) n; \
    CREATE TABLE keyless (a int, body text); \
    INSERT INTO keyless SELECT n, repeat('y', 300) FROM generate_series(1, 3000) n; \
    CREATE INDEX keyless_a ON keyless (a); \
    DO $$ BEGIN FOR n IN 1 .. 600 LOOP \
      EXECUTE format('CREATE TABLE small_%s (id serial PRIMARY KEY, body text UNIQUE)', n); \
      EXECUTE format('INSERT INTO small_%s (body) SELECT m FROM generate_series(1, %s) m', n, n % 50); \
    END LOOP; END $$; \
    ANALYZE";

fn options() -> LoadOptions {
    LoadOptions {
        split: SplitSizes {
            cut_bytes: 64 << 10,
            chunk_bytes: 64 << 10,
            key_split_bytes: 1 << 20,
            key_range_bytes: 64 << 10,
        },
        jobs: 2,
        ..LoadOptions::default()
    }
}

/// A server that keeps what is written in its memory.
fn large() -> Cluster {
    Cluster::builder(15)
        .setting("wal_buffers", "64MB")
        .setting("shared_buffers", "512MB")
        .start()
}

async fn scene() -> (Cluster, Cluster, Databases) {
    let (source, target) = (Cluster::start(15), large());
    let databases = Databases::between(&source, &target).await;
    databases.on_source(TABLES).await;
    (source, target, databases)
}

async fn count(databases: &Databases, sql: &str) -> i64 {
    let client = connect(&databases.target).await;
    client.query_one(sql, &[]).await.expect(sql).get(0)
}

/// Crashes the target each time that a count has reached the next of these; says whether
/// anything was lost.
async fn crash(databases: &Databases, target: &mut Cluster, sql: &str, at: &[i64]) -> bool {
    let mut lost = false;
    for &least in at {
        target.hold_log_writer();
        let mut seen = 0;
        until(Duration::from_mins(1), async || {
            seen = count(databases, sql).await;
            seen >= least
        })
        .await;
        target.kill();
        target.start_again();
        let left = count(databases, sql).await;
        println!("{seen} before the crash, {left} after it");
        lost |= left < seen;
    }
    lost
}

async fn assert_same(databases: &Databases) {
    databases.assert_same_contents().await;
    let sql = "SELECT string_agg(line, E'\\n' ORDER BY line COLLATE \"C\") FROM ( \
        SELECT pg_get_indexdef(i.indexrelid) AS line FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
          JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' \
        UNION ALL SELECT c.relname || ' ' || c.relkind::text FROM pg_class c \
          JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public') AS lines";
    let source = database::ask(&databases.source, sql).await;
    assert!(source.lines().count() > 1_200);
    assert_eq!(databases.ask_target(sql).await, source);
}

#[tokio::test]
async fn tables_that_a_crash_took_back_are_made_again() {
    skip_unless_available!(15);
    let (_source, mut target, databases) = scene().await;
    let loader = databases.loader(options());
    let inventory = databases.begun(&loader).await;
    let made = "SELECT count(*) FROM trunkline.structure";
    let (restored, lost) = tokio::join!(
        restore(&loader, &inventory),
        crash(&databases, &mut target, made, &[300, 900])
    );
    restored.expect("structure");
    assert!(lost, "the crash took nothing back: this shows nothing");
    let relations = "SELECT count(*)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')";
    assert_eq!(databases.ask_target(relations).await, "1203");
    load_with(&loader, &databases).await.expect("the rest");
    assert_same(&databases).await;
}

/// Until it ends well: what needs a table that was lost is refused, and the next run makes both.
async fn restore(
    loader: &trunkline_load::Loader,
    inventory: &trunkline_load::Inventory,
) -> Result<(), LoadError> {
    for _ in 0..5 {
        match loader.restore_pre_data(inventory).await {
            Err(LoadError::Entry { entry, cause }) => println!("{entry}: {cause}"),
            other => return other,
        }
    }
    loader.restore_pre_data(inventory).await
}

#[tokio::test]
async fn rows_that_a_crash_took_back_are_copied_again() {
    skip_unless_available!(15);
    let (_source, mut target, databases) = scene().await;
    let loader = databases.loader(options());
    let inventory = databases.begun(&loader).await;
    loader
        .restore_pre_data(&inventory)
        .await
        .expect("structure");
    let copied = "SELECT count(*) FROM trunkline.copy_parts WHERE state = 'copied'";
    let (loaded, lost) = tokio::join!(
        loader.copy_and_build(&inventory),
        crash(&databases, &mut target, copied, &[10, 200, 500])
    );
    loaded.expect("rows");
    assert!(lost, "the crash took nothing back: this shows nothing");
    let cuts = "SELECT string_agg(DISTINCT cut, ' ' ORDER BY cut) FROM trunkline.copy_parts";
    assert_eq!(databases.ask_target(cuts).await, "key pages whole");
    databases.assert_same_contents().await;
    loader.finish_structure(&inventory).await.expect("the rest");
    assert_same(&databases).await;
}
