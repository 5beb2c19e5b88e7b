//! Very many tables, made on several connections: each with what hangs on it, and what becomes
//! of the others when one of them cannot be made.

mod database;

use database::{Databases, load_with};
use trunkline_load::{LoadError, LoadOptions};
use trunkline_testkit::contents::catalog;
use trunkline_testkit::{connect, skip_unless_available};

/// 200 tables of which everything hangs on another: sequences and identities, defaults of the
/// others' sequences, comments, grants, children, views on views, and partitions below
/// partitions; types and functions stand between.
const FAMILIES: &str = "\
    CREATE TYPE mood AS ENUM ('good', 'bad'); \
    DO $$ BEGIN FOR n IN 1 .. 200 LOOP \
      EXECUTE format('CREATE TABLE \"t %s\" (id serial, number int GENERATED ALWAYS AS IDENTITY, \
        feeling mood DEFAULT ''good'', twice int GENERATED ALWAYS AS (id * 2) STORED)', n); \
      EXECUTE format('COMMENT ON COLUMN \"t %s\".id IS ''the first''', n); \
      EXECUTE format('GRANT SELECT ON \"t %s\" TO PUBLIC', n); \
      EXECUTE format('INSERT INTO \"t %s\" SELECT FROM generate_series(1, %s)', n, n % 7); \
      IF n % 10 = 0 THEN \
        EXECUTE format('CREATE TABLE \"child of %s\" (more text) INHERITS (\"t %s\")', n, n); \
        EXECUTE format('CREATE VIEW \"view of %s\" AS SELECT a.id, b.feeling FROM \"t %s\" a, \"t %s\" b', n, n, n - 5); \
        EXECUTE format('CREATE VIEW \"a view on %s\" AS TABLE \"view of %s\"', n, n); \
        EXECUTE format('ALTER TABLE \"t %s\" ALTER id SET DEFAULT nextval(''\"t %s_id_seq\"'')', n - 1, n); \
      END IF; \
    END LOOP; END $$; \
    CREATE VIEW every_table AS SELECT id FROM \"t 1\" UNION ALL SELECT id FROM \"t 2\" UNION ALL SELECT id FROM \"t 99\"; \
    CREATE MATERIALIZED VIEW filled AS SELECT 1 AS a, 2 AS b; \
    REVOKE DELETE ON filled FROM CURRENT_USER; GRANT SELECT (a), UPDATE (b) ON filled TO CURRENT_USER, PUBLIC; \
    REVOKE USAGE ON TYPE mood FROM PUBLIC; \
    CREATE FUNCTION counted(\"t 7\") RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM \"t 8\"'; \
    CREATE VIEW counts AS SELECT counted(t) FROM \"t 7\" t; \
    CREATE TABLE days (day int, name text DEFAULT 'none') PARTITION BY LIST (day); \
    CREATE TABLE others (day int) PARTITION BY LIST (day); \
    DO $$ BEGIN FOR n IN 1 .. 150 LOOP \
      EXECUTE format('CREATE TABLE day_%s PARTITION OF days FOR VALUES IN (%s)%s', n, n, \
        CASE WHEN n % 50 = 0 THEN ' PARTITION BY HASH (name)' ELSE '' END); \
      EXECUTE format('CREATE TABLE other_%s PARTITION OF others FOR VALUES IN (%s)', n, n); \
      IF n % 50 = 0 THEN \
        EXECUTE format('CREATE TABLE day_%s_0 PARTITION OF day_%s FOR VALUES WITH (MODULUS 1, REMAINDER 0)', n, n); \
      END IF; \
    END LOOP; END $$; \
    INSERT INTO days SELECT 1 + n % 150 FROM generate_series(1, 400) n; \
    INSERT INTO others SELECT 1 + n % 150 FROM generate_series(1, 400) n; \
    ANALYZE";

/// What the catalogs say of everything but the database itself and us.
async fn objects(uri: &str) -> Vec<String> {
    let text = catalog(&connect(uri).await).await;
    let lines = text.lines().skip_while(|line| *line != "== relations");
    let lines = lines.filter(|line| !line.contains("trunkline"));
    lines.map(ToOwned::to_owned).collect()
}

async fn assert_same_objects(databases: &Databases) {
    let source = objects(&databases.source).await;
    let target = objects(&databases.target).await;
    assert!(source.len() > 1_000, "{} lines", source.len());
    let only = |some: &[String], others: &[String]| -> Vec<String> {
        let others: std::collections::HashSet<&String> = others.iter().collect();
        let only = some.iter().filter(|line| !others.contains(line));
        only.cloned().collect()
    };
    let differences = (only(&source, &target), only(&target, &source));
    assert_eq!(differences, (vec![], vec![]));
}

/// Notes which sessions make tables.
const WITNESS: &str = "\
    CREATE TABLE trunkline.witness (pid int); \
    CREATE FUNCTION trunkline.witness() RETURNS event_trigger LANGUAGE plpgsql \
      AS 'BEGIN INSERT INTO trunkline.witness SELECT pg_backend_pid() \
        FROM pg_event_trigger_ddl_commands() WHERE schema_name = ''public''; END'; \
    CREATE EVENT TRIGGER trunkline_witness ON ddl_command_end WHEN TAG IN ('CREATE TABLE') \
      EXECUTE FUNCTION trunkline.witness()";

/// By how many transactions tables were made.
const TRANSACTIONS: &str =
    "SELECT count(DISTINCT xmin::text)::text FROM trunkline.structure WHERE kind = 'TABLE'";

async fn families_arrive(major: u32, more: &str, jobs: usize) {
    let databases = Databases::new(major, major).await;
    databases.on_source(FAMILIES).await;
    databases.on_source(more).await;
    databases.on_target(WITNESS).await;
    let options = LoadOptions {
        jobs,
        ..LoadOptions::default()
    };
    databases.load(options).await.expect("a load");
    databases.assert_same_contents().await;
    assert_same_objects(&databases).await;
    let transactions = databases.ask_target(TRANSACTIONS).await;
    let transactions: usize = transactions.parse().expect("a number");
    assert!(transactions < 60, "{transactions} transactions");
    let sessions = "SELECT count(DISTINCT pid)::text FROM trunkline.witness";
    let sessions: usize = databases
        .ask_target(sessions)
        .await
        .parse()
        .expect("a number");
    assert!(
        sessions >= jobs && (sessions == 1) == (jobs == 1),
        "{sessions} sessions"
    );
}

#[tokio::test]
async fn families_of_tables_arrive_whole_on_15() {
    skip_unless_available!(15);
    families_arrive(15, "", 4).await;
}

#[tokio::test]
async fn families_of_tables_arrive_whole_on_12() {
    skip_unless_available!(12);
    families_arrive(12, "", 2).await;
}

#[tokio::test]
async fn families_of_tables_arrive_whole_by_one_session() {
    skip_unless_available!(15);
    families_arrive(15, "", 1).await;
}

/// From 17 on partitions have the identity of their parent.
#[tokio::test]
async fn families_of_tables_arrive_whole_on_18() {
    skip_unless_available!(18);
    let identities = "\
        CREATE TABLE counted_days (id bigint GENERATED BY DEFAULT AS IDENTITY, day int) PARTITION BY LIST (day); \
        CREATE TABLE strict_days (id bigint GENERATED ALWAYS AS IDENTITY, day int) PARTITION BY LIST (day); \
        DO $$ BEGIN FOR n IN 1 .. 80 LOOP \
          EXECUTE format('CREATE TABLE counted_day_%s PARTITION OF counted_days FOR VALUES IN (%s)', n, n); \
          EXECUTE format('CREATE TABLE strict_day_%s PARTITION OF strict_days FOR VALUES IN (%s)', n, n); \
        END LOOP; END $$; \
        INSERT INTO counted_days (day) SELECT 1 + n % 80 FROM generate_series(1, 200) n; \
        INSERT INTO strict_days (day) SELECT 1 + n % 80 FROM generate_series(1, 200) n";
    families_arrive(18, identities, 4).await;
}

#[tokio::test]
async fn a_table_that_cannot_be_made_is_named_and_the_others_stand() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(FAMILIES).await;
    databases
        .on_target("CREATE TABLE \"t 111\" (other int)")
        .await;
    let loader = databases.loader(LoadOptions::default());
    match load_with(&loader, &databases).await {
        Err(LoadError::Entry { entry, .. }) => assert_eq!(entry, "TABLE public.t 111"),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it should have failed"),
    }
    // One that is not on its strand and comes long after it.
    let later =
        "SELECT count(*)::text FROM trunkline.structure WHERE kind = 'TABLE' AND name = 't 99'";
    assert_eq!(databases.ask_target(later).await, "1");
    databases.on_target("DROP TABLE \"t 111\"").await;
    load_with(&loader, &databases).await.expect("the rest");
    databases.assert_same_contents().await;
    assert_same_objects(&databases).await;
}

#[tokio::test]
async fn connections_that_are_lost_in_the_middle_are_made_again() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(FAMILIES).await;
    let loader = databases.loader(LoadOptions::default());
    let inventory = databases.begun(&loader).await;
    let target = connect(&databases.target).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = 'trunkline structure' AND datname = current_database()";
    let made = "SELECT count(*) FROM trunkline.structure";
    let trouble = async {
        for rounds in [40_i64, 300] {
            let reached = async || {
                let row = target.query_one(made, &[]).await.expect("a count");
                row.get::<_, i64>(0) >= rounds
            };
            trunkline_testkit::until(std::time::Duration::from_mins(1), reached).await;
            let ended: i64 = target.query_one(end, &[]).await.expect("ended").get(0);
            assert!(ended > 0, "a session was there to end");
        }
    };
    let (restored, ()) = tokio::join!(loader.restore_pre_data(&inventory), trouble);
    restored.expect("structure");
    load_with(&loader, &databases).await.expect("the rest");
    databases.assert_same_contents().await;
    assert_same_objects(&databases).await;
}
