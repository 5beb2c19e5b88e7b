//! `traffic` as it is written, refused and saved.

use super::*;
use crate::plan_file::PlanFile;

fn file(traffic: &str) -> PlanFile {
    PlanFile::parse(&format!("[cutover]\ntraffic = {traffic}")).expect(traffic)
}

/// What the plan means, and the file that would be saved.
fn built(traffic: &str) -> (Result<Arc<dyn Traffic>, Error>, PlanFile) {
    let side = |host: &str| {
        let text = format!("postgres://u:hidden@{host}:5432/orders");
        Conninfo::resolve(&text).expect("it is whole")
    };
    let (source, target) = (side("10.0.0.1"), side("new"));
    let mut file = file(traffic);
    let around = Surroundings {
        source: &source,
        target: &target,
        migration: "orders",
        max_pause: Duration::from_secs(30),
    };
    let adapter = super::traffic(file.cutover.traffic.as_mut(), &around);
    (adapter, file)
}

fn described(traffic: &str) -> String {
    built(traffic).0.expect(traffic).describe()
}

fn refused(traffic: &str) -> String {
    match built(traffic).0 {
        Err(Error::Plan { why, hint }) => format!("{why}; {hint}"),
        other => panic!("{traffic}: {other:?}"),
    }
}

const PGBOUNCER: &str = r#"{ kind = "pgbouncer", admin = "postgres://admin:hunter2@pooler:6432/pgbouncer", config = "/etc/pgbouncer/pgbouncer.ini", database = "orders" }"#;
const HAPROXY: &str = r#"{ kind = "haproxy", socket = "/run/haproxy.sock", server = ["pg/a", "pg/b"], target = "10.0.0.2:5432" }"#;
const ENVOY: &str = r#"{ kind = "envoy", admin = "http://127.0.0.1:9901/", cluster = "pg", endpoints = "eds.json", target = "10.0.0.2:5432" }"#;

#[test]
fn each_kind_is_known_and_says_what_it_does() {
    assert!(described(PGBOUNCER).contains("pooler:6432"));
    assert!(described(HAPROXY).contains("pg/a, pg/b"));
    assert!(described(ENVOY).contains("127.0.0.1:9901"));
    assert!(described(r#"{ kind = "none" }"#).contains("nobody"));
    let both = described(&format!("[{PGBOUNCER}, {HAPROXY}]"));
    let first = both.find("PgBouncer").expect("it is there");
    assert!(both[first..].contains("; then HAProxy"), "{both}");
}

#[test]
fn a_saved_plan_reads_back_and_holds_no_password() {
    for traffic in [
        PGBOUNCER.to_owned(),
        format!("[{ENVOY}, {PGBOUNCER}, {HAPROXY}]"),
    ] {
        let (adapter, file) = built(&traffic);
        adapter.expect("it is whole");
        let text = file.to_text().expect("it can be written");
        assert!(!text.contains("hunter2"), "{text}");
        let again = PlanFile::parse(&text).expect(&text);
        assert_eq!(again, file);
    }
}

#[test]
fn relative_paths_are_saved_as_absolute_ones() {
    let (adapter, file) = built(ENVOY);
    adapter.expect("it is whole");
    let Some(TrafficTables::One(table)) = file.cutover.traffic else {
        panic!("it is one table");
    };
    assert!(table.endpoints.expect("it is given").is_absolute());
}

#[test]
fn a_key_of_another_kind_is_refused_with_the_keys_of_this_one() {
    let text = refused(&HAPROXY.replace("server =", "hold = \"x\", server ="));
    assert!(text.contains("`hold`") && text.contains("socket"), "{text}");
    let text = refused(r#"{ kind = "none", admin = "x" }"#);
    assert!(text.contains("`admin`"), "{text}");
}

#[test]
fn an_unknown_kind_and_an_unknown_key_name_the_nearest() {
    assert!(refused(r#"{ kind = "pgbounce" }"#).contains("`pgbouncer`"));
    for traffic in [
        r#"{ kind = "envoy", clutser = "x" }"#,
        r#"[{ kind = "envoy", clutser = "x" }]"#,
    ] {
        let text = format!("[cutover]\ntraffic = {traffic}");
        let (why, hint) = PlanFile::parse(&text).expect_err("a typo");
        assert!(
            why.contains("clutser") && hint.contains("`cluster`"),
            "{why} {hint}"
        );
    }
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    for (traffic, expected) in [
        (
            r#"{ kind = "pgbouncer", config = "/x", database = "o" }"#.to_owned(),
            "`admin`",
        ),
        (PGBOUNCER.replace("\"orders\"", "[]"), "`database`"),
        (
            HAPROXY.replace(", target = \"10.0.0.2:5432\"", ""),
            "`target = ",
        ),
        (
            ENVOY.replace(", target = \"10.0.0.2:5432\"", ""),
            "`target = ",
        ),
        (HAPROXY.replace("pg/b", "pg"), "backend/server"),
        (
            HAPROXY.replace("pg/b", "pg/b; disable frontend x"),
            "backend/server",
        ),
        (
            HAPROXY.replace("/run/haproxy.sock", "haproxy"),
            "runtime socket",
        ),
        (ENVOY.replace("http://", "https://"), "127.0.0.1:9901"),
        (
            PGBOUNCER.replace("database =", "source = \"old\", database ="),
            "host:port",
        ),
    ] {
        let text = refused(&traffic);
        assert!(text.contains(expected), "{traffic}: {text}");
    }
}
