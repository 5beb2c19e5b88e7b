//! Sessions against a real server.

use trunkline_postgres::{Conninfo, Session};
use trunkline_testkit::{Cluster, any_major, skip_unless_available};

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
