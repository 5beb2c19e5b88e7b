//! A pair in which nearly everything is wrong gives exactly the findings that it should.

use std::collections::BTreeSet;

use trunkline_migration::checks::{self, CheckInput, PgDump, Severity};
use trunkline_postgres::ServerVersion;
use trunkline_testkit::{Cluster, skip_unless_available};

use crate::pairs::{codes, everything, left_alone, session};

/// A source in which nearly everything is wrong; `trunkline` may connect, and that is all.
const BAD_SOURCE: &str = "
    CREATE ROLE trunkline LOGIN;
    CREATE ROLE app_owner; CREATE ROLE other_owner; CREATE ROLE reader;
    CREATE SCHEMA shut;
    CREATE TABLE shut.away (id serial PRIMARY KEY);
    CREATE TABLE no_key (id int);
    CREATE TABLE \"we\nl\" (id int PRIMARY KEY);
    ALTER TABLE \"we\nl\" OWNER TO app_owner;
    CREATE TABLE late_key (id int PRIMARY KEY DEFERRABLE);
    CREATE UNLOGGED TABLE scratch (id int);
    CREATE TABLE secret (id int PRIMARY KEY);
    ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
    ALTER TABLE secret FORCE ROW LEVEL SECURITY;
    CREATE TABLE anothers (id int PRIMARY KEY);
    ALTER TABLE shut.away OWNER TO app_owner;
    ALTER TABLE no_key OWNER TO app_owner;
    ALTER TABLE late_key OWNER TO app_owner;
    ALTER TABLE scratch OWNER TO app_owner;
    ALTER TABLE secret OWNER TO app_owner;
    ALTER TABLE anothers OWNER TO other_owner;
    GRANT SELECT ON anothers TO reader, trunkline;
    ALTER SCHEMA shut OWNER TO app_owner;
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    ALTER FUNCTION noted() OWNER TO app_owner;
    CREATE TRIGGER audit AFTER INSERT ON anothers FOR EACH ROW EXECUTE FUNCTION noted();
    ALTER TABLE anothers ENABLE ALWAYS TRIGGER audit;
    CREATE RULE quiet AS ON DELETE TO anothers DO ALSO NOTHING;
    ALTER TABLE anothers ENABLE REPLICA RULE quiet;
    CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    ALTER FUNCTION watched() OWNER TO app_owner;
    CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watched();
    ALTER EVENT TRIGGER watch DISABLE;
    CREATE EVENT TRIGGER watch_drop ON sql_drop EXECUTE FUNCTION watched();
    CREATE PUBLICATION feed FOR TABLE anothers;
    CREATE SUBSCRIPTION fed CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false);
    CREATE FOREIGN DATA WRAPPER nothing;
    CREATE SERVER nobody FOREIGN DATA WRAPPER nothing;
    CREATE FOREIGN TABLE elsewhere (id int) SERVER nobody;
    ALTER FOREIGN TABLE elsewhere OWNER TO app_owner;
    CREATE EXTENSION pageinspect;
    SELECT lo_create(0);";

const BAD_TARGET: &str = "
    CREATE ROLE trunkline LOGIN;
    CREATE ROLE other_owner;
    CREATE SCHEMA trunkline;
    CREATE TABLE no_key (id int);
    CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watched();
    ALTER DATABASE app SET default_transaction_read_only = on;";

/// The findings on the bad pair that are more than notices.
fn expected_of_the_bad_pair(major: u32) -> BTreeSet<String> {
    let mut expected: BTreeSet<String> = [
        "wal-level@source wal-sender-timeout@source replication-right@source create-on-database@source",
        "table-owner@source table-select@source schema-usage@source sequence-select@source",
        "row-security@source row-security@target replica-identity@source unlogged-table@source",
        "foreign-table@source large-objects@source large-object-select@source",
        "event-trigger@source event-trigger@target publication@source subscription@source",
        "trigger-fires@source rule-fires@source prepared-transaction@source superuser-sessions@source",
        "read-only@target database-owner@source signal-backend@source read-stats@source maintenance-database@source",
        "way-back-replica-role@source way-back-schema@source way-back-write@source",
        "database-owner@target signal-backend@target",
        "way-back-wal-level@target way-back-replication@target",
        "create-on-database@target replica-role@target connection-limit@target",
        "role-missing@target owner-membership@target control-schema@target object-exists@target",
        "extension-create@target database-locale@target pg-dump-older",
        "line-break-in-name@source",
    ]
    .iter()
    .flat_map(|line| line.split_whitespace())
    .map(str::to_owned)
    .collect();
    if major >= 13 {
        expected.insert("slot-wal-limit@source".to_owned());
    }
    if major >= 15 {
        // Before, everybody may make objects in the schema public.
        expected.insert("schema-create@target".to_owned());
        expected.insert("owner-schema-create@target".to_owned());
    }
    if major >= 18 {
        expected.insert("slot-idle-timeout@source".to_owned());
    }
    expected
}

async fn the_bad_pair_gives_what_is_expected(major: u32) {
    let mut builder = Cluster::builder(major)
        .setting("wal_level", "replica")
        .setting("wal_sender_timeout", "1s");
    if major >= 13 {
        builder = builder.setting("max_slot_wal_keep_size", "1GB");
    }
    if major >= 18 {
        builder = builder.setting("idle_replication_slot_timeout", "1h");
    }
    let source = builder.start();
    let target = Cluster::builder(major)
        .setting("wal_level", "replica")
        .start();
    source.psql("postgres", "CREATE DATABASE app TEMPLATE template0");
    let with_locale =
        "CREATE DATABASE app TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'";
    target.psql("postgres", with_locale);
    source.psql("app", BAD_SOURCE);
    source.psql(
        "postgres",
        "REVOKE CONNECT ON DATABASE postgres FROM public",
    );
    source.psql(
        "app",
        "BEGIN; CREATE TABLE p (id int PRIMARY KEY); PREPARE TRANSACTION 'it''s'",
    );
    target.psql("app", BAD_TARGET);
    target.psql("postgres", "ALTER ROLE trunkline CONNECTION LIMIT 3");
    left_alone(&source).await;

    let held = source.client("app").await;
    let mut from = session(&source, "trunkline", "app").await;
    let mut to = session(&target, "trunkline", "app").await;
    let older = PgDump {
        path: "/usr/bin/pg_dump".into(),
        version: ServerVersion(110_000),
    };
    let input = CheckInput {
        pg_dump: Some(older),
        ..everything(&mut from, &mut to)
    };
    let findings = checks::examine(input)
        .await
        .expect("the facts can be read by a plain role");
    drop(held);
    let found = codes(&findings, Severity::Warning);
    let expected = expected_of_the_bad_pair(major);
    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:?}, surplus {surplus:?}\n{}",
        checks::render(&findings)
    );
    assert!(!checks::verdict(&findings).may_go_on());
    let broken = findings.iter().find(|f| f.code == "line-break-in-name");
    let object = broken.and_then(|found| found.object.as_deref());
    assert_eq!(object, Some("public.\"we\\nl\""));
}

#[tokio::test]
async fn a_bad_pair_of_12_gives_exactly_the_expected_findings() {
    skip_unless_available!(12);
    the_bad_pair_gives_what_is_expected(12).await;
}

#[tokio::test]
async fn a_bad_pair_of_15_gives_exactly_the_expected_findings() {
    skip_unless_available!(15);
    the_bad_pair_gives_what_is_expected(15).await;
}

#[tokio::test]
async fn a_bad_pair_of_18_gives_exactly_the_expected_findings() {
    skip_unless_available!(18);
    the_bad_pair_gives_what_is_expected(18).await;
}
