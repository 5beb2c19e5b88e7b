//! The planner's statistics on the target: of tables, of statistics objects, of expressions
//! in indexes and of materialized views, as soon as somebody may ask for rows.

mod database;

use database::Databases;
use trunkline_load::LoadOptions;
use trunkline_testkit::skip_unless_available;

/// One table above and one below the size from which statistics are gathered at once.
const SHOP: &str = "\
    CREATE TABLE large (id int PRIMARY KEY, a int, b int, body text); \
    INSERT INTO large SELECT n, n % 10, n % 10, repeat('x', 100) FROM generate_series(1, 20000) n; \
    CREATE INDEX large_half ON large ((id / 2)); \
    CREATE STATISTICS large_ab (dependencies) ON a, b FROM large; \
    CREATE TABLE small AS SELECT n AS a, n AS b FROM generate_series(1, 500) n; \
    CREATE STATISTICS small_ab (dependencies) ON a, b FROM small; \
    CREATE MATERIALIZED VIEW sums AS SELECT a, a AS b, sum(id) FROM large GROUP BY a; \
    CREATE INDEX sums_twice ON sums ((a * 2)); \
    CREATE STATISTICS sums_ab (dependencies) ON a, b FROM sums; \
    CREATE MATERIALIZED VIEW grouped AS SELECT id, a, b, count(*) FROM large GROUP BY id; \
    CREATE STATISTICS grouped_ab (dependencies) ON a, b FROM grouped; \
    CREATE TABLE rates (rate int); \
    CREATE FUNCTION rate(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
      $$ BEGIN RETURN $1 * (SELECT rate FROM rates); END $$; \
    CREATE TABLE priced AS SELECT n AS a FROM generate_series(1, 500) n; \
    CREATE STATISTICS priced_rate ON rate(a) FROM priced; \
    CREATE MATERIALIZED VIEW unfilled AS SELECT a FROM large WITH NO DATA; \
    ANALYZE";

/// What has statistics on the target.
async fn known(databases: &Databases) -> String {
    databases
        .ask_target(
            "SELECT DISTINCT tablename::text FROM pg_stats WHERE schemaname = 'public' \
             UNION ALL SELECT statistics_name::text FROM pg_stats_ext WHERE dependencies IS NOT NULL \
             ORDER BY 1",
        )
        .await
}

#[tokio::test]
async fn statistics_are_there_before_changes_are_applied_and_views_have_theirs_at_the_end() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(SHOP).await;
    let loader = databases.loader(LoadOptions::default());
    loader.prepare_ledger().await.expect("the ledger");
    let inventory = loader
        .inventory(databases.directory.path())
        .await
        .expect("an inventory");
    loader
        .restore_pre_data(&inventory)
        .await
        .expect("structure");
    loader.copy_and_build(&inventory).await.expect("rows");
    loader.finish_tables(&inventory).await.expect("statistics");
    let of_tables = "large large_ab large_half small small_ab";
    assert_eq!(known(&databases).await.replace('\n', " "), of_tables);

    loader.finish_structure(&inventory).await.expect("the rest");
    assert_eq!(
        known(&databases).await.replace('\n', " "),
        "grouped grouped_ab large large_ab large_half small small_ab sums sums_ab sums_twice"
    );
    // Its function does not say in which schema its table is, and our search path is empty.
    let given_up = loader.given_up().await.expect("what was given up");
    let given_up: Vec<String> = given_up.iter().map(|left| format!("{left:?}")).collect();
    assert_eq!(given_up.len(), 1, "{given_up:?}");
    assert!(given_up[0].contains("priced"), "{given_up:?}");
    databases.assert_same_contents().await;
}
