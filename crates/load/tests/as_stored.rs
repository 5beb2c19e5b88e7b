//! Values that the source keeps uncompressed are not tried to be compressed by the target, and
//! its columns end with the setting that they had.

mod database;

use std::time::Duration;

use database::{Databases, ask};
use tokio_util::sync::CancellationToken;
use trunkline_load::{LoadError, LoadOptions, SplitSizes};
use trunkline_testkit::{connect, skip_unless_available, until};

const PATIENCE: Duration = Duration::from_mins(1);

/// Tables whose `kept` lies uncompressed on the source though it could be smaller, as what can
/// not be does: a target that tried would compress it. In `mixed` one row in a hundred is
/// compressed, in `squeezed` all are. Keys of 4 kB go into an index only if they are compressed.
const TABLES: &str = "\
    CREATE TABLE pictures (id int PRIMARY KEY, \"the kept\" bytea, title text); \
    ALTER TABLE pictures ALTER \"the kept\" SET STORAGE EXTERNAL; \
    INSERT INTO pictures SELECT n, convert_to(repeat('kept', 2500), 'UTF8'), 'picture ' || n FROM generate_series(1, 2000) n; \
    ALTER TABLE pictures ALTER \"the kept\" SET STORAGE EXTENDED; \
    CREATE TABLE indexed (id int PRIMARY KEY, kept text, key text); \
    ALTER TABLE indexed ALTER kept SET STORAGE EXTERNAL, ALTER key SET STORAGE EXTERNAL; \
    INSERT INTO indexed SELECT n, repeat('kept', 2500), repeat(n::text || 'key', 700) FROM generate_series(1, 2000) n; \
    ALTER TABLE indexed ALTER kept SET STORAGE EXTENDED, ALTER key SET STORAGE EXTENDED; \
    CREATE INDEX indexed_key ON indexed (key); \
    CREATE TABLE mixed (id int PRIMARY KEY, kept text); \
    ALTER TABLE mixed ALTER kept SET STORAGE EXTERNAL; \
    INSERT INTO mixed SELECT n, repeat('kept', 2500) FROM generate_series(1, 2000) n WHERE n % 100 <> 0; \
    ALTER TABLE mixed ALTER kept SET STORAGE EXTENDED; \
    INSERT INTO mixed SELECT n, repeat('kept', 2500) FROM generate_series(1, 2000) n WHERE n % 100 = 0; \
    CREATE TABLE squeezed (id int PRIMARY KEY, body text); \
    INSERT INTO squeezed SELECT n, (SELECT string_agg(n::text || m, 'squeezed') FROM generate_series(1, 900) m) \
      FROM generate_series(1, 6000) n; \
    CREATE TABLE outside (id int PRIMARY KEY, body text); \
    ALTER TABLE outside ALTER body SET STORAGE EXTERNAL; \
    INSERT INTO outside SELECT n, repeat('outside', 1500) FROM generate_series(1, 2000) n; \
    ANALYZE";

/// How many values are smaller than what they stand for, by the table; the same from 12 to 18.
const COMPRESSED: &str = "\
    SELECT 'pictures ' || count(*) FILTER (WHERE pg_column_size(\"the kept\") < octet_length(\"the kept\")) FROM pictures \
    UNION ALL SELECT 'indexed ' || count(*) FILTER (WHERE pg_column_size(kept) < octet_length(kept) \
                                                       OR pg_column_size(key) < octet_length(key)) FROM indexed \
    UNION ALL SELECT 'mixed ' || count(*) FILTER (WHERE pg_column_size(kept) < octet_length(kept)) FROM mixed \
    UNION ALL SELECT 'squeezed ' || count(*) FILTER (WHERE pg_column_size(body) < octet_length(body)) FROM squeezed \
    UNION ALL SELECT 'outside ' || count(*) FILTER (WHERE pg_column_size(body) < octet_length(body)) FROM outside";

/// Columns with their storage, and indexes' columns with theirs.
const STORAGE: &str = "\
    SELECT string_agg(c.relname || '.' || a.attname || ' ' || a.attstorage::text, ', ' ORDER BY c.relname, a.attnum) \
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i') AND a.attnum > 0";

const AS_ON_THE_SOURCE: &str = "pictures 0\nindexed 0\nmixed 2000\nsqueezed 6000\noutside 0";

fn cut(key_split_bytes: u64) -> LoadOptions {
    LoadOptions {
        split: SplitSizes {
            cut_bytes: 1 << 20,
            chunk_bytes: 1 << 20,
            key_split_bytes,
            key_range_bytes: 4 << 20,
        },
        ..LoadOptions::default()
    }
}

async fn assert_as_stored(databases: &Databases) {
    databases.assert_same_contents().await;
    assert_eq!(databases.ask_target(COMPRESSED).await, AS_ON_THE_SOURCE);
    let storage = ask(&databases.source, STORAGE).await;
    assert_eq!(databases.ask_target(STORAGE).await, storage);
    let held = "SELECT count(*)::text FROM trunkline.columns_as_stored";
    assert_eq!(databases.ask_target(held).await, "0");
}

#[tokio::test]
async fn what_the_source_keeps_uncompressed_arrives_so_and_the_setting_stays() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(TABLES).await;
    databases
        .load(LoadOptions::default())
        .await
        .expect("a load");
    assert_as_stored(&databases).await;
}

async fn between(source: u32, target: u32) {
    let databases = Databases::new(source, target).await;
    databases.on_source(TABLES).await;
    let loaded = databases.load(LoadOptions::default()).await;
    loaded.expect("a load");
    assert_as_stored(&databases).await;
}

#[tokio::test]
async fn before_version_14_the_sizes_tell_it() {
    skip_unless_available!(12, 13, 15, 18);
    Box::pin(between(13, 15)).await;
    Box::pin(between(12, 18)).await;
}

#[tokio::test]
async fn every_version_says_how_values_are_stored() {
    skip_unless_available!(14, 16, 17, 18);
    Box::pin(between(14, 17)).await;
    Box::pin(between(18, 16)).await;
}

#[tokio::test]
async fn on_a_table_that_has_its_indexes_nothing_is_set() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(TABLES).await;
    let loaded = databases.load(cut(1 << 40)).await;
    loaded.expect("a load");
    // As if a crash of the target had taken the rows back behind the builds.
    databases
        .on_target(
            "TRUNCATE indexed, pictures; \
             DELETE FROM trunkline.copy_parts WHERE table_name IN ('indexed', 'pictures')",
        )
        .await;
    let loaded = databases.load(cut(1 << 40)).await;
    loaded.expect("a load again: keys that fit only if they are compressed");
    databases.assert_same_contents().await;
    let storage = ask(&databases.source, STORAGE).await;
    assert_eq!(databases.ask_target(STORAGE).await, storage);
}

#[tokio::test]
async fn tables_in_parts_have_it_too() {
    skip_unless_available!(15);
    for key_split_bytes in [4 << 20, 1 << 40] {
        let databases = Databases::new(15, 15).await;
        databases.on_source(TABLES).await;
        databases
            .load(cut(key_split_bytes))
            .await
            .expect("a load in parts");
        assert_as_stored(&databases).await;
    }
}

/// Stops a load once a part of `pictures` is as good as in.
async fn stopped_between_parts(databases: &Databases, options: LoadOptions) {
    let cancel = CancellationToken::new();
    let loader = databases.cancellable_loader(options, cancel.clone());
    let inventory = databases.begun(&loader).await;
    databases
        .on_target(
            "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN new; END $$; \
             CREATE TRIGGER waits BEFORE UPDATE ON trunkline.copy_parts FOR EACH ROW \
             WHEN (new.table_name = 'pictures') EXECUTE FUNCTION public.wait(); \
             ALTER TABLE trunkline.copy_parts ENABLE ALWAYS TRIGGER waits",
        )
        .await;
    loader.restore_pre_data(&inventory).await.expect("tables");
    let holder = connect(&databases.target).await;
    holder
        .batch_execute("SELECT pg_advisory_lock(42)")
        .await
        .expect("a lock");
    let stop = async {
        let waiting =
            "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        until(PATIENCE, async || {
            holder.query_one(waiting, &[]).await.expect("locks").get(0)
        })
        .await;
        cancel.cancel();
    };
    let (copied, ()) = tokio::join!(loader.copy_and_build(&inventory), stop);
    assert!(matches!(copied, Err(LoadError::Cancelled)), "{copied:?}");
    holder
        .batch_execute(
            "SELECT pg_advisory_unlock(42); DROP TRIGGER waits ON trunkline.copy_parts; \
             DROP FUNCTION public.wait()",
        )
        .await
        .expect("released");
}

#[tokio::test]
async fn stopped_between_parts_the_setting_is_given_back() {
    skip_unless_available!(15);
    for key_split_bytes in [4 << 20, 1 << 40] {
        let databases = Databases::new(15, 15).await;
        databases.on_source(TABLES).await;
        stopped_between_parts(&databases, cut(key_split_bytes)).await;
        let held = "SELECT string_agg(column_name, ',') FROM trunkline.columns_as_stored WHERE table_name = 'pictures'";
        assert_eq!(databases.ask_target(held).await, "the kept");
        databases
            .load(cut(key_split_bytes))
            .await
            .expect("a load that goes on");
        assert_as_stored(&databases).await;
    }
}

#[tokio::test]
async fn a_table_that_was_emptied_in_between_has_its_setting_back() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(TABLES).await;
    stopped_between_parts(&databases, cut(1 << 40)).await;
    databases
        .on_source("TRUNCATE pictures; DROP TABLE indexed")
        .await;
    databases.on_target("DROP TABLE indexed").await;
    databases
        .load(cut(1 << 40))
        .await
        .expect("a load that goes on");
    databases.assert_same_contents().await;
    let storage = ask(&databases.source, STORAGE).await;
    assert_eq!(databases.ask_target(STORAGE).await, storage);
}
