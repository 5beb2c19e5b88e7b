//! Rehearsals under clients, again and again: no client sees an error, and nothing of them
//! stays.

use trunkline_testkit::contents::catalog;
use trunkline_testkit::{any_major, skip_unless_available, skip_unless_installed};

use crate::scene::assert_same_catalog;
use crate::scene::crowd::Nature;
use crate::scene::pooled::Pooled;

const REHEARSALS: usize = 3;

/// Both sides, as a client beside the pooler sees them.
async fn catalogs(pooled: &Pooled) -> [(&'static str, String); 2] {
    let (source, target) = pooled.scene.catalogs().await;
    [("source", source), ("target", target)]
}

async fn rehearsed(command: &str) {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let pooled = Pooled::new("").await;
    let scene = &pooled.scene;
    scene.done(&["run", "--until", "verified"]).await;
    if command == "rollback" {
        scene.done(&["cutover"]).await;
    }
    let serves = pooled.serves().await;
    let crowd = pooled.crowd(Nature::Held);
    let before = catalogs(&pooled).await;
    for _ in 0..REHEARSALS {
        crowd.has_written(50).await;
        let report = scene.done(&[command, "--rehearse", "--json"]).await.json();
        assert_eq!(report["outcome"], "rehearsed", "{report:#}");
        assert_eq!(report["rehearsal"]["go"], true, "{report:#}");
        let expected = report["rehearsal"]["expected_pause_ms"].as_f64();
        assert!(expected.is_some_and(|pause| pause > 0.0), "{report:#}");
        assert_eq!(report["serves"], serves, "{report:#}");
        let after = catalogs(&pooled).await;
        for ((side, before), (_, after)) in before.iter().zip(&after) {
            assert_same_catalog(side, before, after);
        }
    }
    let short = [command, "--rehearse", "--json", "--max-pause", "1ms"];
    let ran = scene.trunkline(&short).await.expect_code(7);
    let report = ran.json();
    assert_eq!(report["outcome"], "aborted", "{report:#}");
    ran.expect_said(&["no-go"]);
    pooled.are_served(&crowd).await;
    let after = catalogs(&pooled).await;
    for ((side, before), (_, after)) in before.iter().zip(&after) {
        assert_same_catalog(side, before, after);
    }
    assert_eq!(pooled.assert_one_side_takes_writes().await, serves);
    let journal = pooled.assert_complete(crowd).await;
    assert_eq!(journal.errors, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_is_rehearsed_again_and_again_and_nothing_stays() {
    rehearsed("cutover").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_rehearsed_again_and_again_and_nothing_stays() {
    rehearsed("rollback").await;
}

/// What a switch that died had prepared would keep the log of a server that nobody reads from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_switch_prepared_is_taken_back_by_the_run_that_follows() {
    skip_unless_available!(any_major());
    let scene = crate::scene::notes::notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    let before = catalog(&scene.on_target().await).await;
    let mut cutover = scene.start(&["cutover"]);
    cutover.must_say("preparing the switch").await;
    cutover.kill().await;
    let mut following = scene.start(&["run"]);
    following.must_say("following").await;
    let on_target = scene.on_target().await;
    trunkline_testkit::until(crate::scene::PATIENCE, async || {
        catalog(&on_target).await == before
    })
    .await;
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
    following.ended().await;
}
