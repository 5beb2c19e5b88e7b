//! What a scope leaves out, and what it refuses.

mod database;

use database::Databases;
use trunkline_load::{LoadError, LoadOptions, Scope};
use trunkline_testkit::skip_unless_available;

const SCHEMA: &str = "\
    CREATE SCHEMA app; CREATE SCHEMA types; CREATE SCHEMA junk; \
    CREATE TYPE types.mood AS ENUM ('good', 'bad'); \
    CREATE TYPE junk.unused AS ENUM ('x'); \
    CREATE TABLE app.customers (id serial PRIMARY KEY, mood types.mood); \
    CREATE TABLE app.orders (id serial PRIMARY KEY, customer int REFERENCES app.customers, total numeric); \
    CREATE INDEX orders_total ON app.orders (total); \
    CREATE TABLE app.tmp_1 (id serial PRIMARY KEY); \
    CREATE TABLE app.logs (at timestamptz, line text); \
    CREATE TABLE app.events (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); \
    CREATE TABLE app.events_2024 PARTITION OF app.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); \
    CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT; \
    CREATE TABLE junk.things (id int PRIMARY KEY); \
    CREATE VIEW app.overview AS SELECT * FROM app.orders JOIN app.tmp_1 USING (id); \
    CREATE PUBLICATION theirs FOR TABLE app.orders; \
    INSERT INTO app.customers SELECT n, 'good' FROM generate_series(1, 10) n; \
    INSERT INTO app.orders SELECT n, n, n FROM generate_series(1, 10) n; \
    INSERT INTO app.tmp_1 SELECT n FROM generate_series(1, 10) n; \
    INSERT INTO app.logs SELECT now(), 'line' FROM generate_series(1, 10); \
    INSERT INTO app.events SELECT n, '2024-05-01'::date + n FROM generate_series(1, 400) n; \
    INSERT INTO junk.things VALUES (1)";

const RELATIONS: &str = "SELECT string_agg(c.oid::regclass::text, ' ' ORDER BY 1) FROM pg_class c \
    WHERE relnamespace::regnamespace::text !~ '^(pg_|trunkline|information_schema)' AND relkind IN ('r', 'p', 'i', 'I', 'v', 'S')";

async fn loaded(filters: &str) -> (Databases, Vec<String>) {
    let databases = Databases::new(15, 15).await;
    databases.on_source(SCHEMA).await;
    let scope = Scope::from_ini(filters).expect("filters");
    let inventory = databases
        .load(LoadOptions {
            scope,
            ..LoadOptions::default()
        })
        .await
        .expect("a load");
    let left_out = inventory
        .structure
        .left_out
        .iter()
        .map(|left| left.entry.clone())
        .collect();
    (databases, left_out)
}

fn sorted(names: &str) -> String {
    let mut names: Vec<&str> = names.split_whitespace().collect();
    names.sort_unstable();
    names.join(" ")
}

#[tokio::test]
async fn an_excluded_table_goes_with_all_that_hangs_on_it() {
    skip_unless_available!(15);
    let filters = "[exclude-schema]\njunk\n[exclude-table]\napp.~/^tmp_/\napp.events\n[exclude-index]\napp.orders_total\n[exclude-table-data]\napp.logs\n";
    let (databases, left_out) = loaded(filters).await;
    assert_eq!(
        sorted(&databases.ask_target(RELATIONS).await),
        sorted(
            "app.customers app.customers_id_seq app.customers_pkey app.logs app.orders app.orders_id_seq app.orders_pkey"
        )
    );
    assert_eq!(
        databases
            .ask_target("SELECT count(*)::text FROM app.logs")
            .await,
        "0"
    );
    assert_eq!(
        databases
            .ask_target("SELECT count(*)::text FROM app.orders")
            .await,
        "10"
    );
    for expected in [
        "TABLE app.tmp_1",
        "VIEW app.overview",
        "SEQUENCE app.tmp_1_id_seq",
        "INDEX app.orders_total",
        "PUBLICATION theirs",
        "TABLE app.events_2024",
    ] {
        assert!(
            left_out.iter().any(|entry| entry == expected),
            "{expected} in {left_out:?}"
        );
    }
    let schemas = "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^pg_|^information'";
    assert_eq!(
        databases.ask_target(schemas).await,
        "app public trunkline types"
    );
}

#[tokio::test]
async fn an_included_table_brings_its_partitions_and_types_and_no_more() {
    skip_unless_available!(15);
    let (databases, left_out) = loaded("[include-only-table]\napp.events\napp.customers\n").await;
    assert_eq!(
        sorted(&databases.ask_target(RELATIONS).await),
        sorted(
            "app.customers app.customers_id_seq app.customers_pkey app.events app.events_2024 \
                app.events_2024_pkey app.events_pkey app.events_rest app.events_rest_pkey"
        )
    );
    assert!(
        left_out.contains(&"TYPE junk.unused".to_owned()),
        "{left_out:?}"
    );
    assert_eq!(
        databases
            .ask_target("SELECT count(*)::text FROM app.events")
            .await,
        "400"
    );
}

#[tokio::test]
async fn a_partition_alone_is_a_table_of_its_own() {
    skip_unless_available!(15);
    let (databases, _) = loaded("[include-only-table]\napp.events_2024\n").await;
    assert_eq!(
        sorted(&databases.ask_target(RELATIONS).await),
        sorted("app.events_2024 app.events_2024_pkey")
    );
}

#[tokio::test]
async fn a_filter_that_matches_nothing_is_refused() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases.on_source(SCHEMA).await;
    let scope = Scope::from_patterns(&["app.oders".to_owned()], &[]).expect("patterns");
    let error = databases
        .load(LoadOptions {
            scope,
            ..LoadOptions::default()
        })
        .await
        .err()
        .expect("refused");
    assert!(
        matches!(error, LoadError::FilterMatchesNothing { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("app.orders"), "{error}");
}
