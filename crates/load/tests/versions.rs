//! A whole load between versions: every type, every kind of name, key and partition.

mod database;

use database::Databases;
use trunkline_changes::Side;
use trunkline_load::{
    LoadOptions, Scope, Sequence, Unowned, compare_sequences, count_large_objects, list_sequences,
    read_cover, read_sequence_positions, set_sequences,
};
use trunkline_postgres::Session;
use trunkline_testkit::types::TypeMatrix;
use trunkline_testkit::{connect, skip_unless_available};

async fn sequences_of(session: &mut Session, side: Side) -> Vec<Sequence> {
    let scope = Scope::everything();
    let listed = list_sequences(session, side, &scope, Unowned::BySchema).await;
    let mut sequences = listed.expect("sequences");
    let read = read_sequence_positions(session, side, &mut sequences).await;
    read.expect("where they stand");
    sequences
}

async fn everything_arrives(source_major: u32, target_major: u32) {
    let databases = Databases::new(source_major, target_major).await;
    let matrix = TypeMatrix::for_major(source_major.min(target_major));
    matrix.create_in(&connect(&databases.source).await).await;
    databases
        .on_source("SELECT lo_from_bytea(4242, 'large'::bytea); SELECT lo_create(4243)")
        .await;

    let inventory = databases
        .load(LoadOptions::default())
        .await
        .expect("a load");

    databases.assert_same_contents().await;
    let mut source = Session::connect(&database::conninfo(&databases.source), "test")
        .await
        .expect("a session");
    let mut target = databases.target_session().await;

    let cover = read_cover(&mut target).await.expect("the cover");
    for table in inventory
        .tables
        .iter()
        .filter(|table| table.kind == trunkline_load::TableKind::Ordinary)
    {
        assert!(
            cover.contains_key(&table.name),
            "{} has a cover",
            table.name
        );
    }

    let sequences = sequences_of(&mut source, Side::Source).await;
    set_sequences(&mut target, Side::Target, &sequences)
        .await
        .expect("set");
    let read_back = sequences_of(&mut target, Side::Target).await;
    assert_eq!(compare_sequences(&sequences, &read_back), []);
    assert!(!sequences.is_empty());

    let here = count_large_objects(&mut source, Side::Source)
        .await
        .expect("counted");
    let there = count_large_objects(&mut target, Side::Target)
        .await
        .expect("counted");
    assert_eq!(here, there);
    assert_eq!(
        databases
            .ask_target("SELECT convert_from(lo_get(4242), 'UTF8')")
            .await,
        "large"
    );

    assert_same_definitions(&databases).await;
}

/// Indexes, constraints, triggers and policies by their definitions.
async fn assert_same_definitions(databases: &Databases) {
    let sql = "SELECT line FROM ( \
        SELECT pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid AS line FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
          JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_|^trunkline$|^information_schema$' \
        UNION ALL \
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(o.oid) || ' ' || convalidated \
          FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace \
          WHERE contype <> 'n' AND n.nspname !~ '^pg_|^trunkline$|^information_schema$' \
        UNION ALL \
        SELECT pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal \
        UNION ALL \
        SELECT relname || ' ' || relispopulated FROM pg_class WHERE relkind = 'm' \
        UNION ALL \
        SELECT polrelid::regclass || ' ' || polname FROM pg_policy) AS all_lines ORDER BY line COLLATE \"C\"";
    let source = database::ask(&databases.source, sql).await;
    let target = database::ask(&databases.target, sql).await;
    assert!(!source.is_empty());
    let missing: Vec<&str> = source
        .lines()
        .filter(|line| !target.lines().any(|l| l == *line))
        .collect();
    let surplus: Vec<&str> = target
        .lines()
        .filter(|line| !source.lines().any(|l| l == *line))
        .collect();
    assert_eq!((missing, surplus), (vec![], vec![]));
}

#[tokio::test]
async fn everything_arrives_in_the_same_version() {
    skip_unless_available!(15);
    everything_arrives(15, 15).await;
}

#[tokio::test]
async fn everything_arrives_from_13_in_15() {
    skip_unless_available!(13, 15);
    everything_arrives(13, 15).await;
}

#[tokio::test]
async fn everything_arrives_from_15_in_17() {
    skip_unless_available!(15, 17);
    everything_arrives(15, 17).await;
}

#[tokio::test]
async fn everything_arrives_from_12_in_18() {
    skip_unless_available!(12, 18);
    everything_arrives(12, 18).await;
}

#[tokio::test]
async fn everything_arrives_from_17_in_14() {
    skip_unless_available!(17, 14);
    everything_arrives(17, 14).await;
}

const EVERYBODY: &str =
    "SELECT pg_catalog.has_schema_privilege('public', 'public', 'CREATE')::text";

/// Newer `pg_dump`s say nothing of it, and before 15 a new database lets everybody.
#[tokio::test]
async fn what_everybody_may_not_do_in_public_stays_so_before_15() {
    skip_unless_available!(12, 14);
    for (revoke, expected) in [
        ("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "false"),
        ("SELECT", "true"),
    ] {
        let databases = Databases::new(12, 14).await;
        databases
            .on_source("CREATE TABLE t (id int PRIMARY KEY)")
            .await;
        databases.on_source(revoke).await;
        databases
            .load(LoadOptions::default())
            .await
            .expect("a load");
        assert_eq!(databases.ask_target(EVERYBODY).await, expected, "{revoke}");
        let recorded =
            "SELECT (count(*) = 0)::text FROM trunkline.structure WHERE kind = 'PUBLIC SCHEMA'";
        let recorded = databases.ask_target(recorded).await;
        assert_eq!(
            recorded, expected,
            "that pg_dump tells of it itself: {revoke}"
        );
        let keeping = LoadOptions {
            no_privileges: true,
            ..LoadOptions::default()
        };
        let databases = Databases::new(12, 14).await;
        databases
            .on_source("CREATE TABLE t (id int PRIMARY KEY)")
            .await;
        databases.on_source(revoke).await;
        databases.load(keeping).await.expect("a load");
        assert_eq!(
            databases.ask_target(EVERYBODY).await,
            "true",
            "{revoke}, no privileges"
        );
    }
}

#[tokio::test]
async fn a_right_that_our_role_may_not_revoke_is_told_of() {
    skip_unless_available!(15, 14);
    let mut databases = Databases::new(15, 14).await;
    databases.on_source("CREATE ROLE mover LOGIN; CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t OWNER TO mover").await;
    databases
        .on_target("CREATE ROLE mover LOGIN; ALTER SCHEMA trunkline OWNER TO mover")
        .await;
    databases.target = databases
        .target
        .replace("postgres://postgres@", "postgres://mover@");
    databases
        .load(LoadOptions::default())
        .await
        .expect("a load");
    assert_eq!(databases.ask_target(EVERYBODY).await, "true");
    let given_up = databases.loader(LoadOptions::default()).given_up().await;
    let given_up = given_up.expect("a list");
    let told = given_up
        .iter()
        .any(|left| left.entry == "PUBLIC SCHEMA public" && left.reason.contains("only its owner"));
    assert!(told, "{given_up:?}");
}
