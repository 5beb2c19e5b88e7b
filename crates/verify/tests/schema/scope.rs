//! What is compared and what is left out.

use trunkline_changes::TableName;
use trunkline_testkit::{Cluster, skip_unless_available};
use trunkline_verify::{ObjectKind, SchemaDescription, schema_differences};

use crate::scene::{OBJECTS, ROLES, describe, lines, session};

fn app() -> Cluster {
    let cluster = Cluster::start_any();
    cluster.psql("postgres", ROLES);
    cluster.psql("postgres", OBJECTS);
    cluster
}

#[tokio::test]
async fn chosen_tables_are_compared_with_what_hangs_on_them_only() {
    let cluster = app();
    let mut session = session(&cluster.uri("postgres")).await;
    let only = [
        TableName::new("app", "orders"),
        TableName::new("Odd.Schema", "Odd \"Table"),
        TableName::new("app", "plain_view"),
        TableName::new("app", "not there"),
    ];
    let before = SchemaDescription::read(&mut session, Some(&only))
        .await
        .expect("a description");
    let tables: Vec<_> = before
        .objects()
        .filter(|id| id.kind == ObjectKind::Table)
        .map(|id| id.name.as_str())
        .collect();
    assert_eq!(tables, ["\"Odd.Schema\".\"Odd \"\"Table\"", "app.orders"]);
    for id in before.objects() {
        let name = &id.name;
        let ours = name.contains("app.orders") || name.contains("Odd.Schema");
        assert!(ours, "{id} is none of the chosen");
    }
    for (kind, name) in [
        (ObjectKind::Column, "app.orders.note"),
        (ObjectKind::Constraint, "app.orders.orders_customer"),
        (ObjectKind::Index, "app.orders_note"),
        (ObjectKind::Sequence, "app.orders_id_seq"),
        (ObjectKind::Trigger, "app.orders.stamp_order"),
        (ObjectKind::Rule, "app.orders.keep"),
        (ObjectKind::Policy, "app.orders.own"),
        (ObjectKind::Grant, "column app.orders.note to Odd role"),
        (ObjectKind::Grant, "sequence app.orders_id_seq to writer"),
    ] {
        let mut found = before.objects();
        assert!(
            found.any(|id| id.kind == kind && id.name == name),
            "{name} is not there"
        );
    }
    session
        .batch(
            "BEGIN; DROP TABLE app.scratch; DROP FUNCTION app.twice(text, boolean); \
             CREATE TABLE app.more (); ALTER TABLE app.orders DROP COLUMN during",
        )
        .await
        .expect("changes");
    let after = SchemaDescription::read(&mut session, Some(&only))
        .await
        .expect("a description");
    assert_eq!(
        lines(&schema_differences(&before, &after)),
        "column app.orders.during: missing on the target\n\
         constraint app.orders.orders_during_excl: missing on the target"
    );
    let none = SchemaDescription::read(&mut session, Some(&[])).await;
    assert_eq!(none.expect("a description").objects().count(), 0);
}

#[tokio::test]
async fn a_role_without_any_right_reads_the_same() {
    let cluster = app();
    let uri = cluster.uri("postgres");
    let plain = uri.replace("postgres@", "somebody@");
    assert_ne!(plain, uri);
    assert!(describe(&plain).await == describe(&uri).await);
}

#[tokio::test]
async fn objects_of_extensions_and_our_own_schema_are_left_out() {
    let cluster = Cluster::start_any();
    let uri = cluster.uri("postgres");
    let before = describe(&uri).await;
    cluster.psql(
        "postgres",
        "CREATE SCHEMA trunkline; CREATE TABLE trunkline.t (id serial PRIMARY KEY); \
         CREATE TYPE trunkline.e AS ENUM ('a'); \
         CREATE FUNCTION trunkline.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         CREATE EXTENSION pg_stat_statements; \
         CREATE TEMPORARY TABLE session_only (v int); \
         COMMENT ON SCHEMA public IS 'ours'",
    );
    let found = schema_differences(&before, &describe(&uri).await);
    assert_eq!(
        lines(&found),
        "extension pg_stat_statements: only on the target"
    );
}

#[tokio::test]
async fn what_is_left_of_a_failed_index_build_does_not_count() {
    let cluster = app();
    let uri = cluster.uri("postgres");
    let after = describe(&uri).await;
    cluster.psql(
        "postgres",
        "CREATE INDEX half ON app.orders (during); \
         UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'app.half'::regclass",
    );
    let before = describe(&uri).await;
    let found = schema_differences(&before, &after);
    assert_eq!(
        lines(&found),
        "index app.half: missing on the target (not valid on the source)"
    );
    assert!(!found[0].certain);
    assert!(schema_differences(&after, &before)[0].certain);

    cluster.psql(
        "postgres",
        "DROP INDEX app.half; DROP INDEX app.events_not_everywhere",
    );
    let without = describe(&uri).await;
    let found = schema_differences(&after, &without);
    assert_eq!(
        lines(&found),
        "index app.events_not_everywhere: missing on the target"
    );
}

#[tokio::test]
async fn version_18_tells_constraints_that_do_not_hold_yet() {
    skip_unless_available!(18);
    let cluster = Cluster::start(18);
    let uri = cluster.uri("postgres");
    cluster.psql(
        "postgres",
        "CREATE TABLE t (a int, b int NOT NULL, c int GENERATED ALWAYS AS (a + 1) STORED, \
         d int CONSTRAINT d CHECK (d > 0))",
    );
    let before = describe(&uri).await;
    cluster.psql(
        "postgres",
        "ALTER TABLE t ADD CONSTRAINT a NOT NULL a NOT VALID; \
         ALTER TABLE t RENAME CONSTRAINT t_b_not_null TO other; \
         ALTER TABLE t DROP c, ADD c int GENERATED ALWAYS AS (a + 1) VIRTUAL; \
         ALTER TABLE t DROP CONSTRAINT d, ADD CONSTRAINT d CHECK (d > 0) NOT ENFORCED",
    );
    let found = schema_differences(&before, &describe(&uri).await);
    assert_eq!(
        lines(&found),
        "column public.t.a: not null differs: none on the source, not validated on the target\n\
         column public.t.c: generated differs: stored on the source, virtual on the target\n\
         constraint public.t.d: definition differs: CHECK ((d > 0)) on the source, \
         CHECK ((d > 0)) NOT ENFORCED on the target\n\
         constraint public.t.d: validated differs: yes on the source, no on the target"
    );
}
