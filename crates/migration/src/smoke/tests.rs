//! Smoke tests against a real server.

use super::*;
use trunkline_testkit::Cluster;

const AMPLE: Duration = Duration::from_secs(30);

fn sql(name: &str, statement: &str, expect: Option<&str>) -> SmokeTest {
    SmokeTest {
        name: name.to_owned(),
        probe: Probe::Sql(statement.to_owned()),
        expect: expect.map(str::to_owned),
        timeout: AMPLE,
        when: When::BeforeSwitch,
    }
}

fn command(name: &str, text: &str, expect: Option<&str>) -> SmokeTest {
    SmokeTest {
        probe: Probe::Command(text.to_owned()),
        ..sql(name, "", expect)
    }
}

fn shop() -> Cluster {
    let cluster = Cluster::start_any();
    cluster.psql(
        "postgres",
        "CREATE TABLE orders (id int PRIMARY KEY, note text);
         INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 3) n;
         CREATE SEQUENCE tickets;",
    );
    cluster
}

async fn smoke(
    cluster: &Cluster,
    tests: &[SmokeTest],
    moment: Moment,
) -> Result<Vec<SmokeOutcome>, SmokeFailure> {
    let conninfo = Conninfo::resolve(&cluster.uri("postgres")).expect("a connection string");
    let scene = Scene {
        migration: "shop".to_owned(),
        source: "old:1/shop".to_owned(),
        target: "new:2/shop".to_owned(),
    };
    let deadline = Instant::now() + AMPLE;
    run_smoke(tests, moment, Side::Target, &conninfo, &scene, deadline).await
}

#[tokio::test]
async fn smoke_tests_that_find_what_they_should_pass_with_their_times() {
    let cluster = shop();
    let tests = [
        sql("orders", "SELECT count(*) FROM orders;", Some("3")),
        sql(
            "the first of many rows",
            "SELECT note FROM orders ORDER BY id",
            Some("order 1"),
        ),
        sql(
            "a setting",
            "SHOW default_transaction_read_only",
            Some("on"),
        ),
        sql(
            "no row is no failure unless one is expected",
            "SELECT 1 WHERE false",
            None,
        ),
        command(
            "the scene",
            "echo \" $TRUNKLINE_STEP $TRUNKLINE_TARGET \"",
            Some("smoke new:2/shop"),
        ),
    ];
    let outcomes = smoke(&cluster, &tests, Moment::BeforeSwitch)
        .await
        .expect("all pass");
    assert_eq!(outcomes.len(), tests.len());
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.passed && outcome.ms > 0.0)
    );
}

#[tokio::test]
async fn a_smoke_test_changes_nothing_whatever_it_tries() {
    let cluster = shop();
    let after = |statement: &str| SmokeTest {
        when: When::Both,
        ..sql(statement, statement, None)
    };
    let tests = [
        after("DELETE FROM orders RETURNING id"),
        after("SELECT nextval('tickets')"),
        after("COMMIT"),
        after("DELETE FROM orders"),
        after("SELECT 1; DELETE FROM orders"),
    ];
    let failure = smoke(&cluster, &tests, Moment::AfterRelease)
        .await
        .expect_err("they write");
    let failed: Vec<bool> = failure
        .outcomes
        .iter()
        .map(|outcome| !outcome.passed)
        .collect();
    assert_eq!(failed[0..2], [true, true], "{failure}");
    assert_eq!(failed[3..5], [true, true], "{failure}");
    assert_eq!(cluster.psql("postgres", "SELECT count(*) FROM orders"), "3");
}

#[tokio::test]
async fn before_the_switch_the_first_failure_ends_the_smoke_tests_and_says_both_values() {
    let cluster = shop();
    let tests = [
        sql("orders", "SELECT count(*) FROM orders", Some("4")),
        sql("not reached", "SELECT 1", None),
    ];
    let failure = smoke(&cluster, &tests, Moment::BeforeSwitch)
        .await
        .expect_err("3 are there");
    assert_eq!(failure.outcomes.len(), 1);
    assert_eq!(
        failure.to_string(),
        "target: smoke test `orders`: expected `4`, found `3`"
    );
}

#[tokio::test]
async fn a_smoke_test_that_hangs_is_ended_on_the_server_and_the_next_one_is_run() {
    let cluster = shop();
    let slow = SmokeTest {
        timeout: Duration::from_millis(500),
        when: When::AfterRelease,
        ..sql("slow", "SELECT pg_sleep(600)", None)
    };
    let next = SmokeTest {
        when: When::Both,
        ..sql("next", "SELECT 1", Some("1"))
    };
    let failure = smoke(&cluster, &[slow, next], Moment::AfterRelease)
        .await
        .expect_err("it hangs");
    let passed: Vec<bool> = failure
        .outcomes
        .iter()
        .map(|outcome| outcome.passed)
        .collect();
    assert_eq!(passed, [false, true], "{failure}");
    assert!(failure.to_string().contains("too long"), "{failure}");
    let client = cluster.client("postgres").await;
    let running = "SELECT count(*) FROM pg_stat_activity \
                   WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid() \
                   AND state = 'active'";
    trunkline_testkit::until(AMPLE, async || {
        let row = client.query_one(running, &[]).await.expect("it answers");
        row.get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test]
async fn smoke_tests_of_another_moment_and_none_at_all_need_no_server() {
    let nowhere = Conninfo::resolve("host=127.0.0.1 port=1 user=x dbname=x").expect("settings");
    let scene = Scene {
        migration: String::new(),
        source: String::new(),
        target: String::new(),
    };
    let tests = [sql("before", "SELECT 1", None)];
    let deadline = Instant::now() + AMPLE;
    let run = run_smoke(
        &tests,
        Moment::AfterRelease,
        Side::Source,
        &nowhere,
        &scene,
        deadline,
    );
    assert_eq!(run.await, Ok(Vec::new()));
    let run = run_smoke(
        &tests,
        Moment::BeforeSwitch,
        Side::Source,
        &nowhere,
        &scene,
        deadline,
    );
    let failure = run.await.expect_err("nothing listens there");
    assert!(
        failure
            .to_string()
            .starts_with("source: smoke test `before`: cannot connect"),
        "{failure}"
    );
}

#[test]
fn long_values_are_cut_in_what_is_said() {
    let why = judge(Some("x"), Some(&"ü".repeat(1000))).expect_err("they differ");
    assert!(why.chars().count() < 300, "{why}");
    assert_eq!(judge(None, None), Ok(()));
    assert!(judge(Some(""), None).is_err());
}
