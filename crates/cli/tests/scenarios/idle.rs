//! A source on which nothing happens: every command comes to its end, and the slot does not
//! keep the log of other databases.

use std::time::Duration;

use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::Scene;

const SLOT: &str = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE NOT temporary";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_source_is_followed_compared_and_cut_over() {
    let major = any_major();
    skip_unless_available!(major);
    let scene = Scene::new(major, major).await.with_shop(1).await;
    let mut running = scene.start(&["run"]);
    running.must_say("== verified").await;

    // What another database writes is passed over, and given back by the slot.
    let before = scene.source.psql("postgres", SLOT);
    let kept = "SELECT confirmed_flush_lsn FROM pg_replication_slots \
                WHERE NOT temporary AND confirmed_flush_lsn > ";
    let other = "CREATE TABLE elsewhere AS SELECT generate_series(1, 200000) AS n; \
                 SELECT pg_current_wal_lsn()";
    let written = scene.source.psql("postgres", other);
    until(Duration::from_mins(1), async || {
        let passed = scene
            .source
            .psql("postgres", &format!("{kept} '{written}'"));
        !passed.is_empty()
    })
    .await;
    let after = scene.source.psql("postgres", SLOT);
    assert_ne!(before, after);

    let verified = scene.done(&["verify", "--json"]).await.json();
    assert_eq!(verified["equal"], true, "{verified:#}");
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    scene.assert_same().await;
    // Until then `run` keeps the way back open.
    scene.done(&["complete"]).await;
    running.ended().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_a_row_moves_too() {
    let major = any_major();
    skip_unless_available!(major);
    let scene = Scene::new(major, major).await;
    let scene = scene.with("CREATE TABLE nothing (id int PRIMARY KEY); CREATE SEQUENCE never");
    scene.done(&["run", "--until", "verified"]).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    assert_eq!(report["sequences"]["set"], 1);
    scene.assert_same().await;
}
