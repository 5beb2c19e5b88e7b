//! What the tests share: pairs of servers, roles made from SECURITY.md, and the codes found.

use std::collections::BTreeSet;
use std::time::Duration;

use trunkline_changes::Side;
use trunkline_migration::checks::{self, CheckInput, Finding, PgDump, Severity, Standing};
use trunkline_postgres::{Conninfo, ServerVersion, Session};
use trunkline_testkit::{Cluster, until};

const SECURITY: &str = include_str!("../../../../SECURITY.md");

/// The SQL that stands in SECURITY.md under a mark.
pub(crate) fn security_sql(mark: &str) -> &'static str {
    let mark = format!("<!-- sql: {mark} -->\n```sql\n");
    let (_, after) = SECURITY
        .split_once(&mark)
        .unwrap_or_else(|| panic!("no {mark} in SECURITY.md"));
    after.split_once("```").expect("a block of SQL ends").0
}

/// What SECURITY.md asks for on a side, for a version.
pub(crate) fn documented_role(side: Side, major: u32) -> String {
    let own = security_sql(if side == Side::Source {
        "source"
    } else {
        "target"
    });
    let replica = security_sql(if major >= 15 {
        "both, 15 and later"
    } else {
        "both, before 15"
    });
    format!("{own}{replica}")
}

pub(crate) async fn session(cluster: &Cluster, user: &str, database: &str) -> Session {
    let text = format!(
        "host=127.0.0.1 port={} user={user} dbname='{database}' sslmode=disable",
        cluster.port()
    );
    let conninfo = Conninfo::resolve(&text).expect("the conninfo is well-formed");
    Session::connect(&conninfo, "check")
        .await
        .expect("the role can connect")
}

/// The sessions that made the databases are gone from the server's view.
pub(crate) async fn left_alone(cluster: &Cluster) {
    let client = cluster.client("postgres").await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app'";
    until(Duration::from_secs(30), async || {
        client
            .query_one(others, &[])
            .await
            .is_ok_and(|row| row.get::<_, i64>(0) == 0)
    })
    .await;
}

/// A live move of everything, before it began.
pub(crate) fn everything<'a>(source: &'a mut Session, target: &'a mut Session) -> CheckInput<'a> {
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
        pg_dump: Some(PgDump {
            path: "/usr/bin/pg_dump".into(),
            version: ServerVersion(180_004),
        }),
        own_slot: Some("trunkline_app"),
        own_publication: Some("trunkline_app"),
        relayed: false,
        subscription: None,
        own_subscription: None,
        downstream: &[],
        own_control_schema: false,
        place: &|table| table.clone(),
        placed: &|table| Some(table.clone()),
        way_back: true,
        tables_on_target: Standing::NotYet,
    }
}

pub(crate) async fn examine(
    source: &Cluster,
    target: &Cluster,
    change: impl FnOnce(&mut CheckInput<'_>),
) -> Vec<Finding> {
    left_alone(source).await;
    let mut from = session(source, "trunkline", "app").await;
    let mut to = session(target, "trunkline", "app").await;
    let mut input = everything(&mut from, &mut to);
    change(&mut input);
    checks::examine(input)
        .await
        .expect("the facts can be read by a plain role")
}

/// `code@side` of each finding that is at least this grave.
pub(crate) fn codes(findings: &[Finding], least: Severity) -> BTreeSet<String> {
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
pub(crate) const GOOD_SOURCE: &str = "
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

pub(crate) fn good_pair(source: u32, target: u32) -> (Cluster, Cluster) {
    let (source, target) = (Cluster::start(source), Cluster::start(target));
    for cluster in [&source, &target] {
        cluster.psql("postgres", "CREATE ROLE app_owner NOLOGIN");
        cluster.psql(
            "postgres",
            "CREATE DATABASE app OWNER app_owner TEMPLATE template0",
        );
    }
    source.psql("app", GOOD_SOURCE);
    (source, target)
}
