//! Each single change is named, with what unavoidably hangs on it and nothing else.

use trunkline_postgres::Session;
use trunkline_testkit::{Cluster, skip_unless_available};
use trunkline_verify::{SchemaChange, SchemaDescription, SchemaDifference, schema_differences};

use crate::changes_of_tables::{Mutation, OF_PARTS, OF_TABLES};
use crate::changes_of_the_rest::{OF_RIGHTS, OF_THE_REST};
use crate::scene::{OBJECTS, ROLES, session};

async fn describe(session: &mut Session) -> SchemaDescription {
    SchemaDescription::read(session, None)
        .await
        .expect("a description")
}

/// As the lists of mutations say it.
fn in_short(difference: &SchemaDifference) -> String {
    assert!(difference.certain, "{difference}");
    let change = match &difference.change {
        SchemaChange::MissingOnTarget => "missing",
        SchemaChange::ExtraOnTarget => "extra",
        SchemaChange::Differs { aspect, .. } => aspect,
    };
    let line = format!("{} {}: {change}", difference.kind, difference.object);
    line.replace("app.", "")
}

/// Makes each change in a transaction that is then given up.
async fn each_is_named(major: u32, mutations: &[Mutation]) {
    let cluster = Cluster::start(major);
    cluster.psql("postgres", ROLES);
    cluster.psql("postgres", OBJECTS);
    let mut session = session(&cluster.uri("postgres")).await;
    let before = describe(&mut session).await;
    let mut wrong: Vec<String> = Vec::new();
    for (change, expected) in mutations {
        let script = format!(
            "BEGIN; SET LOCAL allow_system_table_mods = on; SET LOCAL search_path = app; \
             {change}; SET LOCAL search_path = ''"
        );
        if let Err(error) = session.batch(&script).await {
            wrong.push(format!("{change}\n  failed: {error}"));
            session.batch("ROLLBACK").await.expect("a rollback");
            continue;
        }
        let after = describe(&mut session).await;
        session.batch("ROLLBACK").await.expect("a rollback");

        let found = schema_differences(&before, &after);
        let mut found: Vec<_> = found.iter().map(in_short).collect();
        found.sort();
        if found != *expected {
            wrong.push(format!(
                "{change}\n  expected {expected:#?}\n  found {found:#?}"
            ));
        }
        let back = schema_differences(&after, &before);
        assert_eq!(back.len(), found.len(), "{change}, the other way round");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        schema_differences(&before, &describe(&mut session).await),
        []
    );
}

#[tokio::test]
async fn a_change_of_a_table_or_column_is_named() {
    skip_unless_available!(18);
    each_is_named(18, OF_TABLES).await;
}

#[tokio::test]
async fn a_change_of_what_belongs_to_a_table_is_named() {
    skip_unless_available!(18);
    each_is_named(18, OF_PARTS).await;
}

#[tokio::test]
async fn a_change_of_a_type_view_function_or_sequence_is_named() {
    skip_unless_available!(18);
    each_is_named(18, OF_THE_REST).await;
}

#[tokio::test]
async fn a_change_of_rights_is_named() {
    skip_unless_available!(18);
    each_is_named(18, OF_RIGHTS).await;
}

#[tokio::test]
async fn version_13_names_the_same_changes() {
    skip_unless_available!(13);
    for mutations in [OF_TABLES, OF_PARTS, OF_THE_REST, OF_RIGHTS] {
        each_is_named(13, mutations).await;
    }
}
