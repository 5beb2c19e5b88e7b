//! Tables cut into parts: by pages under one snapshot, by key ranges with one each.

mod database;

use database::Databases;
use trunkline_changes::TableName;
use trunkline_load::{Cover, LoadOptions, SplitSizes, read_cover};
use trunkline_testkit::skip_unless_available;

const KB: u64 = 1024;

const TABLES: &str = "\
    CREATE TABLE plain (id bigint PRIMARY KEY, body text); \
    INSERT INTO plain SELECT n - 3000, repeat('x', 200) FROM generate_series(1, 6000) n; \
    CREATE TABLE gaps (id int PRIMARY KEY, body text); \
    INSERT INTO gaps SELECT n * n, repeat('y', 200) FROM generate_series(1, 6000) n; \
    CREATE TABLE toasted (name text PRIMARY KEY, body bytea); \
    ALTER TABLE toasted ALTER body SET STORAGE EXTERNAL; \
    INSERT INTO toasted SELECT 'n' || n, decode(repeat('ab', 9000), 'hex') FROM generate_series(1, 300) n; \
    CREATE TABLE keyless (a int, b text); \
    INSERT INTO keyless SELECT n % 7, repeat('z', 100) FROM generate_series(1, 9000) n; \
    DELETE FROM keyless WHERE a = 3; \
    ANALYZE";

fn small(key_split_kb: u64) -> LoadOptions {
    LoadOptions {
        split: SplitSizes {
            cut_bytes: 100 * KB,
            chunk_bytes: 100 * KB,
            key_split_bytes: key_split_kb * KB,
            key_range_bytes: 200 * KB,
        },
        ..LoadOptions::default()
    }
}

async fn cuts(databases: &Databases) -> String {
    databases
        .ask_target(
            "SELECT table_name || ' ' || cut || CASE WHEN count(*) > 1 THEN ' many' ELSE ' one' END \
             FROM trunkline.copy_parts GROUP BY table_name, cut ORDER BY 1",
        )
        .await
}

#[tokio::test]
async fn pages_share_a_snapshot_and_keys_have_their_own() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(TABLES).await;
    databases.load(small(500)).await.expect("a load");
    databases.assert_same_contents().await;
    assert_eq!(
        cuts(&databases).await,
        "gaps key many\nkeyless pages many\nplain key many\ntoasted pages many"
    );

    let cover = read_cover(&mut databases.target_session().await)
        .await
        .expect("the cover");
    let of = |name: &str| &cover[&TableName::new("public", name)];
    assert!(matches!(of("keyless"), Cover::Whole(_)));
    let Cover::ByKey { column, ranges } = of("gaps") else {
        panic!("by key")
    };
    assert_eq!(column, "id");
    assert!(ranges.len() > 3, "{}", ranges.len());
    // The histogram cuts where the rows are, not where the numbers are.
    let first = ranges[0].high.expect("a bound");
    assert!(
        first < 36_000_000 / i64::try_from(ranges.len()).expect("few"),
        "{first}"
    );
}

#[tokio::test]
async fn before_version_14_a_large_table_is_cut_by_its_key_or_not_at_all() {
    skip_unless_available!(13, 15);
    let databases = Databases::new(13, 15).await;
    databases.on_source(TABLES).await;
    databases.load(small(1_000_000)).await.expect("a load");
    databases.assert_same_contents().await;
    assert_eq!(
        cuts(&databases).await,
        "gaps key many\nkeyless whole one\nplain key many\ntoasted whole one"
    );
}
