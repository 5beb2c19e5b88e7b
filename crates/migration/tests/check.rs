//! The preflight against real servers: a pair in which nearly everything is wrong gives exactly
//! the findings that it should, and a pair made with the SQL of SECURITY.md gives no blocker.

use std::collections::BTreeSet;
use std::time::Duration;

use trunkline_changes::{Side, TableName};
use trunkline_migration::checks::{self, CheckInput, Finding, PgDump, Severity, Verdict};
use trunkline_migration::scripts;
use trunkline_postgres::{Conninfo, ServerVersion, Session};
use trunkline_testkit::{Cluster, any_major, skip_unless_available, until};

const SECURITY: &str = include_str!("../../../SECURITY.md");

/// The SQL that stands in SECURITY.md under a mark.
fn security_sql(mark: &str) -> &'static str {
    let mark = format!("<!-- sql: {mark} -->\n```sql\n");
    let (_, after) = SECURITY.split_once(&mark).unwrap_or_else(|| panic!("no {mark} in SECURITY.md"));
    after.split_once("```").expect("a block of SQL ends").0
}

/// What SECURITY.md asks for on a side, for a version.
fn documented_role(side: Side, major: u32) -> String {
    let own = security_sql(if side == Side::Source { "source" } else { "target" });
    let replica = security_sql(if major >= 15 { "both, 15 and later" } else { "both, before 15" });
    format!("{own}{replica}")
}

async fn session(cluster: &Cluster, user: &str, database: &str) -> Session {
    let text = format!("host=127.0.0.1 port={} user={user} dbname='{database}' sslmode=disable", cluster.port());
    let conninfo = Conninfo::resolve(&text).expect("the conninfo is well-formed");
    Session::connect(&conninfo, "check").await.expect("the role can connect")
}

/// The sessions that made the databases are gone from the server's view.
async fn left_alone(cluster: &Cluster) {
    let client = cluster.client("postgres").await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app'";
    until(Duration::from_secs(30), async || {
        client.query_one(others, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 0)
    })
    .await;
}

/// A live move of everything, before it began.
fn everything<'a>(source: &'a mut Session, target: &'a mut Session) -> CheckInput<'a> {
    CheckInput {
        source,
        target,
        scope: &|_| true,
        live: true,
        drop_if_exists: false,
        structure: true,
        no_owner: false,
        no_privileges: false,
        maintenance_database: "postgres",
        insert_only: &|_| false,
        pg_dump: Some(PgDump { path: "/usr/bin/pg_dump".into(), version: ServerVersion(180_004) }),
        own_slot: Some("trunkline_app"),
        own_publication: Some("trunkline_app"),
        own_control_schema: false,
    }
}

async fn examine(source: &Cluster, target: &Cluster, change: impl FnOnce(&mut CheckInput<'_>)) -> Vec<Finding> {
    left_alone(source).await;
    let mut from = session(source, "trunkline", "app").await;
    let mut to = session(target, "trunkline", "app").await;
    let mut input = everything(&mut from, &mut to);
    change(&mut input);
    checks::examine(input).await.expect("the facts can be read by a plain role")
}

/// `code@side` of each finding that is at least this grave.
fn codes(findings: &[Finding], least: Severity) -> BTreeSet<String> {
    findings
        .iter()
        .filter(|finding| finding.severity <= least)
        .map(|finding| match finding.side {
            Some(side) => format!("{}@{side}", finding.code),
            None => finding.code.to_owned(),
        })
        .collect()
}

/// A database `app` of a plain owner, with one of each kind of object that moves.
const GOOD_SOURCE: &str = "
    SET ROLE app_owner;
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, length int
                         GENERATED ALWAYS AS (length(note)) STORED);
    CREATE TABLE lines (id serial PRIMARY KEY, order_id bigint REFERENCES orders, place point);
    CREATE TABLE events (at timestamptz, what json);
    ALTER TABLE events REPLICA IDENTITY FULL;
    CREATE TABLE measures (day date NOT NULL, value float8) PARTITION BY RANGE (day);
    CREATE TABLE measures_2026 PARTITION OF measures FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    ALTER TABLE measures_2026 ADD PRIMARY KEY (day);
    CREATE SCHEMA \"Own schema\";
    CREATE TABLE \"Own schema\".\"T\" (a int NOT NULL, b int NOT NULL);
    CREATE UNIQUE INDEX \"by a\" ON \"Own schema\".\"T\" (a);
    ALTER TABLE \"Own schema\".\"T\" REPLICA IDENTITY USING INDEX \"by a\";
    CREATE VIEW totals AS SELECT count(*) FROM orders;
    CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TYPE mood AS ENUM ('good');";

async fn good_pair(source: u32, target: u32) -> (Cluster, Cluster) {
    let (source, target) = (Cluster::start(source), Cluster::start(target));
    for cluster in [&source, &target] {
        cluster.psql("postgres", "CREATE ROLE app_owner NOLOGIN");
        cluster.psql("postgres", "CREATE DATABASE app OWNER app_owner TEMPLATE template0");
    }
    source.psql("app", GOOD_SOURCE);
    (source, target)
}

async fn the_documented_roles_suffice(source: u32, target: u32) {
    let (source, target) = good_pair(source, target).await;
    for (side, cluster) in [(Side::Source, &source), (Side::Target, &target)] {
        cluster.psql("app", &documented_role(side, cluster.major()));
    }
    let findings = examine(&source, &target, |_| {}).await;
    let older = source.major() > target.major();
    let expected = older.then(|| "target-older@target".to_owned()).into_iter().collect();
    assert_eq!(codes(&findings, Severity::Warning), expected, "{}", checks::render(&findings));
    assert!(checks::verdict(&findings).may_go_on());
    let notices = codes(&findings, Severity::Notice);
    for code in ["generated-columns", "identity-columns", "full-identity", "no-equality", "sequences", "size"] {
        assert!(notices.contains(&format!("{code}@source")), "{code}: {notices:?}");
    }
    if target.major() != 18 {
        assert!(notices.contains("pg-dump-newer"), "{notices:?}");
    }
}

#[tokio::test]
async fn roles_made_with_the_documented_sql_suffice_from_12_to_15() {
    skip_unless_available!(12, 15);
    the_documented_roles_suffice(12, 15).await;
}

#[tokio::test]
async fn roles_made_with_the_documented_sql_suffice_from_15_to_18() {
    skip_unless_available!(15, 18);
    the_documented_roles_suffice(15, 18).await;
}

#[tokio::test]
async fn roles_made_with_the_documented_sql_suffice_from_18_to_14() {
    skip_unless_available!(18, 14);
    the_documented_roles_suffice(18, 14).await;
}

#[tokio::test]
async fn roles_made_with_the_generated_script_suffice() {
    let major = any_major();
    skip_unless_available!(major);
    let (source, target) = good_pair(major, major).await;
    let (mut from, mut to) = (session(&source, "postgres", "app").await, session(&target, "postgres", "app").await);
    let source_facts = scripts::role_facts(&mut from, &|_| true).await.expect("facts");
    let target_facts = scripts::target_role_facts(&mut to, &source_facts).await.expect("facts");
    from.close().await;
    to.close().await;
    source.psql("app", &scripts::role(Side::Source, "trunkline", &source_facts));
    target.psql("app", &scripts::role(Side::Target, "trunkline", &target_facts));
    let findings = examine(&source, &target, |_| {}).await;
    assert_eq!(checks::verdict(&findings), Verdict::Ready, "{}", checks::render(&findings));
}

/// A source in which nearly everything is wrong; `trunkline` may connect, and that is all.
const BAD_SOURCE: &str = "
    CREATE ROLE trunkline LOGIN;
    CREATE ROLE app_owner; CREATE ROLE other_owner; CREATE ROLE reader;
    CREATE SCHEMA shut;
    CREATE TABLE shut.away (id serial PRIMARY KEY);
    CREATE TABLE no_key (id int);
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
        "database-owner@source signal-backend@source read-stats@source maintenance-database@source",
        "way-back-replica-role@source way-back-wal-level@target way-back-replication@target",
        "read-only@target create-on-database@target replica-role@target connection-limit@target",
        "role-missing@target owner-membership@target control-schema@target object-exists@target",
        "extension-create@target database-locale@target pg-dump-older",
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
    let mut builder = Cluster::builder(major).setting("wal_level", "replica").setting("wal_sender_timeout", "1s");
    if major >= 13 {
        builder = builder.setting("max_slot_wal_keep_size", "1GB");
    }
    if major >= 18 {
        builder = builder.setting("idle_replication_slot_timeout", "1h");
    }
    let source = builder.start();
    let target = Cluster::builder(major).setting("wal_level", "replica").start();
    source.psql("postgres", "CREATE DATABASE app TEMPLATE template0");
    let with_locale = "CREATE DATABASE app TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'";
    target.psql("postgres", with_locale);
    source.psql("app", BAD_SOURCE);
    source.psql("postgres", "REVOKE CONNECT ON DATABASE postgres FROM public");
    source.psql("app", "BEGIN; CREATE TABLE p (id int PRIMARY KEY); PREPARE TRANSACTION 'it''s'");
    target.psql("app", BAD_TARGET);
    target.psql("postgres", "ALTER ROLE trunkline CONNECTION LIMIT 3");
    left_alone(&source).await;

    let held = source.client("app").await;
    let mut from = session(&source, "trunkline", "app").await;
    let mut to = session(&target, "trunkline", "app").await;
    let older = PgDump { path: "/usr/bin/pg_dump".into(), version: ServerVersion(110_000) };
    let input = CheckInput { pg_dump: Some(older), ..everything(&mut from, &mut to) };
    let findings = checks::examine(input).await.expect("the facts can be read by a plain role");
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
    let deferrable = findings.iter().find(|finding| finding.object.as_deref() == Some("public.late_key"));
    assert!(deferrable.is_some());
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

#[tokio::test]
async fn one_database_on_both_sides_is_refused_and_two_of_one_server_are_not() {
    let cluster = Cluster::start_any();
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("postgres", "CREATE ROLE trunkline LOGIN");
    let findings = examine(&cluster, &cluster, |_| {}).await;
    assert!(codes(&findings, Severity::Blocker).contains("same-database"), "{findings:?}");
    cluster.psql("postgres", "CREATE DATABASE other");
    let mut other = session(&cluster, "trunkline", "other").await;
    let mut from = session(&cluster, "trunkline", "app").await;
    let input = CheckInput { live: false, pg_dump: None, ..everything(&mut from, &mut other) };
    let findings = checks::examine(input).await.expect("facts");
    let all = codes(&findings, Severity::Notice);
    assert!(all.contains("same-server") && !all.contains("same-database"), "{all:?}");
    assert!(all.contains("pg-dump-missing") && all.contains("no-tables@source"), "{all:?}");
}

#[tokio::test]
async fn what_only_a_newer_source_knows_blocks_on_an_older_target() {
    skip_unless_available!(18, 12);
    let (source, target) = good_pair(18, 12).await;
    source.psql(
        "app",
        "SET ROLE app_owner;
         CREATE TABLE newer (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL,
                             xid xid8, spans int4multirange, UNIQUE NULLS NOT DISTINCT (xid));
         CREATE FUNCTION two() RETURNS int RETURN 2;",
    );
    for (side, cluster) in [(Side::Source, &source), (Side::Target, &target)] {
        cluster.psql("app", &documented_role(side, cluster.major()));
    }
    let findings = examine(&source, &target, |_| {}).await;
    let objects: BTreeSet<_> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocker)
        .map(|finding| (finding.code, finding.object.as_deref().unwrap_or_default()))
        .collect();
    let expected: BTreeSet<_> = [
        ("newer-feature", "public.newer.twice"),
        ("newer-feature", "public.newer_xid_key"),
        ("newer-feature", "public.two"),
        ("type-missing", "int4multirange"),
        ("type-missing", "xid8"),
    ]
    .into();
    assert_eq!(objects, expected, "{}", checks::render(&findings));
}

fn in_public(table: &TableName) -> bool {
    table.schema == "public" && !table.name.starts_with("measures")
}

#[tokio::test]
async fn tables_that_are_to_be_there_are_asked_for_and_need_no_pg_dump() {
    let major = any_major();
    skip_unless_available!(major);
    let (source, target) = good_pair(major, major).await;
    target.psql("app", "CREATE TABLE public.orders (id int PRIMARY KEY)");
    for (side, cluster) in [(Side::Source, &source), (Side::Target, &target)] {
        cluster.psql("app", &documented_role(side, major));
    }
    let findings = examine(&source, &target, |input| {
        input.structure = false;
        input.pg_dump = None;
        input.scope = &in_public;
    })
    .await;
    let expected: BTreeSet<_> = ["table-missing@target", "table-write@target"].map(str::to_owned).into();
    assert_eq!(codes(&findings, Severity::Blocker), expected, "{}", checks::render(&findings));
}
