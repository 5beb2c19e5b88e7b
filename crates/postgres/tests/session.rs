//! Sessions against a real server.

use std::time::Duration;

use trunkline_postgres::{Conninfo, DataRow, PgError, Session, SqlState};
use trunkline_testkit::{Cluster, any_major, skip_unless_available, until};

#[tokio::test]
async fn a_commit_that_the_server_turns_into_a_rollback_is_an_error() {
    skip_unless_available!(any_major());
    let cluster = Cluster::start_any();
    let conninfo = Conninfo::resolve(&cluster.conninfo("postgres")).expect("settings");
    let mut session = Session::connect(&conninfo, "test")
        .await
        .expect("connected");
    session
        .batch("CREATE TABLE public.t (id integer)")
        .await
        .expect("a table");
    session
        .batch("BEGIN; INSERT INTO public.t VALUES (1)")
        .await
        .expect("a transaction is open");
    session.batch("SELECT 1/0").await.expect_err("it fails");
    let refused = session
        .batch("COMMIT")
        .await
        .expect_err("nothing was committed");
    assert!(refused.to_string().contains("undid"), "{refused}");
    // The session is in order and can go on.
    session
        .batch("BEGIN; INSERT INTO public.t VALUES (2); COMMIT")
        .await
        .expect("committed");
    let row = session
        .query_one("SELECT sum(id) FROM public.t", &[])
        .await
        .expect("a row");
    assert_eq!(row.get::<i64>(0).expect("a number"), 2);
}

/// Whatever ends the taking of rows, the session goes on with the next statement.
#[tokio::test]
async fn rows_that_are_given_away_leave_the_session_usable() {
    skip_unless_available!(any_major());
    let cluster = Cluster::start_any();
    let conninfo = Conninfo::resolve(&cluster.conninfo("postgres")).expect("settings");
    let mut session = Session::connect(&conninfo, "test")
        .await
        .expect("a session");

    let numbers = "SELECT n FROM generate_series(1, 50000) AS n";
    let mut sum = 0;
    let add = |row: DataRow| {
        sum += row.get::<i64>(0)?;
        Ok(())
    };
    session.query_each(numbers, &[], add).await.expect("rows");
    assert_eq!(sum, 50_000 * 50_001 / 2);

    let mut taken = 0;
    let refuse = |row: DataRow| {
        taken += 1;
        row.get::<bool>(0).map(drop)
    };
    let refused = session.query_each(numbers, &[], refuse).await;
    assert!(
        matches!(refused, Err(PgError::Conversion { .. })),
        "{refused:?}"
    );
    assert_eq!(taken, 1, "the rest is not offered");

    let fails = "SELECT 1 / (40000 - n) FROM generate_series(1, 50000) AS n";
    let failed = session.query_each(fails, &[], |_| Ok(())).await;
    let state = failed.as_ref().err().and_then(PgError::sqlstate);
    assert_eq!(state.map(SqlState::as_str), Some("22012"), "{failed:?}");

    let row = session.query_one("SELECT 7", &[]).await.expect("a row");
    assert_eq!(row.get::<i64>(0).expect("a number"), 7);
}

/// From 14 on the server looks whether we are there still, also while it has nothing to send.
#[tokio::test]
async fn a_query_that_nobody_waits_for_any_more_is_ended() {
    skip_unless_available!(14);
    let cluster = Cluster::start(14);
    let conninfo = Conninfo::resolve(&cluster.conninfo("postgres")).expect("settings");
    let session = Session::connect(&conninfo, "test").await;
    let mut session = session.expect("a session");
    let mut observer = Session::connect(&conninfo, "observer")
        .await
        .expect("a session");
    let process = session.canceller().process_id();
    let mut asks = async |state: &str| {
        let sql = format!("SELECT FROM pg_stat_activity WHERE pid = {process} AND {state}");
        let row = observer.query_opt(&sql, &[]).await;
        row.expect("an answer").is_some()
    };
    let patience = Duration::from_mins(1);
    // Our end is gone with the query, and nothing is said to the server.
    let never = async move { session.query("SELECT pg_sleep(3600)", &[]).await };
    tokio::select! {
        ended = never => panic!("it ended: {:?}", ended.err()),
        () = until(patience, async || asks("wait_event = 'PgSleep'").await) => {}
    }
    until(patience, async || !asks("true").await).await;
}
