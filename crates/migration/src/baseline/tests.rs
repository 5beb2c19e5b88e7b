//! The baseline against real servers, and the comparison of two.

use super::*;
use trunkline_postgres::Conninfo;
use trunkline_testkit::{Cluster, MAJORS, any_major, skip_unless_available};

fn counting(major: u32) -> Cluster {
    let builder = Cluster::builder(major);
    let cluster = builder
        .setting("shared_preload_libraries", "pg_stat_statements")
        .start();
    cluster.psql(
        "postgres",
        "CREATE SCHEMA \"Stats\"; CREATE EXTENSION pg_stat_statements SCHEMA \"Stats\";
         CREATE TABLE orders (id int PRIMARY KEY);",
    );
    cluster
}

async fn session(cluster: &Cluster) -> Session {
    let conninfo = Conninfo::resolve(&cluster.uri("postgres")).expect("a connection string");
    Session::connect(&conninfo, "test")
        .await
        .expect("it connects")
}

async fn seen_on(major: u32) -> Baseline {
    let cluster = counting(major);
    for _ in 0..3 {
        cluster.psql(
            "postgres",
            "SELECT count(*) FROM orders WHERE id IN (1, 2, 3)",
        );
    }
    cluster.psql(
        "postgres",
        "CREATE SCHEMA trunkline; CREATE TABLE trunkline.journal ()",
    );
    cluster.psql("postgres", "SELECT count(*) FROM trunkline.journal");
    let mut session = session(&cluster).await;
    let baseline = busiest(&mut session, Side::Source, Reach::All).await;
    baseline.expect("it can be read").expect("it is installed")
}

#[tokio::test]
async fn the_busiest_statements_are_read_without_our_own() {
    let baseline = seen_on(any_major()).await;
    let orders = baseline
        .statements
        .iter()
        .find(|statement| statement.text.contains("FROM orders"))
        .expect("it was run");
    assert_eq!(orders.calls, 3);
    assert!(orders.mean_ms > 0.0);
    let ours = |statement: &StatementTime| statement.text.contains("trunkline");
    assert!(!baseline.statements.iter().any(ours), "{baseline:?}");
}

#[tokio::test]
async fn a_statement_of_the_oldest_version_is_found_again_on_the_newest() {
    skip_unless_available!(12, 18);
    let before = seen_on(MAJORS[0]).await;
    let after = seen_on(MAJORS[MAJORS.len() - 1]).await;
    let compared = compare(&before, &after);
    let orders = compared
        .iter()
        .find(|latency| latency.text.contains("FROM orders"))
        .expect("it was run");
    assert_eq!((orders.calls_before, orders.calls_after), (3, 3));
    assert!(orders.ratio.is_some_and(|ratio| ratio > 0.0), "{orders:?}");
}

#[tokio::test]
async fn without_the_extension_or_its_library_nothing_is_known_and_nothing_fails() {
    let cluster = Cluster::start_any();
    let mut session = session(&cluster).await;
    let read = busiest(&mut session, Side::Source, Reach::Busiest).await;
    assert_eq!(read.expect("no error"), None);
    cluster.psql("postgres", "CREATE EXTENSION pg_stat_statements");
    let read = busiest(&mut session, Side::Source, Reach::Busiest).await;
    assert_eq!(read.expect("no error"), None);
}

fn took(text: &str, calls: u64, mean_ms: f64) -> StatementTime {
    StatementTime {
        queryid: "1".to_owned(),
        calls,
        mean_ms,
        text: text.to_owned(),
        fingerprint: text::fingerprint(text),
    }
}

#[test]
fn what_was_not_run_since_is_said_to_be_unknown_and_equal_texts_are_one() {
    let before = Baseline {
        statements: vec![took("a", 10, 1.0), took("b", 1, 100.0), took("a", 10, 3.0)],
    };
    let after = Baseline {
        statements: vec![took("a", 5, 4.0), took("c", 5, 4.0)],
    };
    let compared = compare(&before, &after);
    assert_eq!(compared.len(), 2);
    assert_eq!(
        (compared[0].text.as_str(), compared[0].mean_ms_after),
        ("b", None)
    );
    assert_eq!(compared[1].calls_before, 20);
    assert_eq!(compared[1].ratio, Some(2.0));
}

#[test]
fn only_what_was_run_since_the_earlier_look_counts() {
    let earlier = Baseline {
        statements: vec![took("a", 10, 1.0), took("b", 5, 1.0), took("c", 9, 1.0)],
    };
    let later = Baseline {
        statements: vec![
            took("a", 20, 2.0),
            took("b", 5, 1.0),
            took("c", 3, 7.0),
            took("d", 1, 1.0),
        ],
    };
    let since = later.since(&earlier);
    let told: Vec<(&str, u64, f64)> = since
        .statements
        .iter()
        .map(|statement| (statement.text.as_str(), statement.calls, statement.mean_ms))
        .collect();
    assert_eq!(told, [("a", 10, 3.0), ("c", 3, 7.0), ("d", 1, 1.0)]);
}
