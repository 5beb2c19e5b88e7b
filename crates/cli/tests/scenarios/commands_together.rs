//! Two commands at once: one of them does it, and the other says why it does not.

use trunkline_testkit::{any_major, skip_unless_available, skip_unless_installed, until};

use crate::scene::crowd::Nature;
use crate::scene::notes::notes;
use crate::scene::pooled::Pooled;
use crate::scene::{PATIENCE, Ran, Running, Scene};

/// Ended in order: done, given up, or refused with a hint.
fn assert_in_order(ran: &Ran) {
    assert!(matches!(ran.code, Some(0 | 7 | 9)), "{ran}");
    if ran.code == Some(9) {
        assert!(ran.stderr.contains("hint:"), "{ran}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_cutovers_one_moves_the_clients() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let pooled = Pooled::new("").await;
    let scene = &pooled.scene;
    scene.done(&["run", "--until", "verified"]).await;
    let crowd = pooled.crowd(Nature::Held);
    let (first, second) = (scene.start(&["cutover"]), scene.start(&["cutover"]));
    let ran = [first.ended().await, second.ended().await];
    ran.iter().for_each(assert_in_order);
    let done = ran.iter().filter(|ran| ran.code == Some(0)).count();
    assert_eq!(done, 1);
    assert_eq!(pooled.assert_one_side_takes_writes().await, "target");
    let journal = pooled.assert_complete(crowd).await;
    assert_eq!(journal.errors, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cutover_and_an_abort_one_is_done() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    let mut cutover = scene.start(&["cutover"]);
    cutover.must_say("preparing the way back").await;
    let abort = scene.trunkline(&["abort"]).await.expect_code(9);
    cutover.ended().await.expect_code(0);
    abort.expect_said(&["switched to the target", "hint:"]);
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_complete_that_comes_during_a_rollback_does_not_end_the_migration() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let pooled = Pooled::new("").await;
    let scene = &pooled.scene;
    scene.done(&["run", "--until", "switched"]).await;
    let crowd = pooled.crowd(Nature::Held);
    pooled.shut_gate();
    let rollback = scene.start(&["rollback", "--max-pause", "20s"]);
    pooled.is_before_gate().await;
    let complete = scene.start(&["complete"]);
    let again = scene.start(&["rollback"]);
    until(PATIENCE, async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        scene.target_says(waiting).trim() == "2"
    })
    .await;
    pooled.open_gate();
    rollback.ended().await.expect_code(0);
    for ran in [complete.ended().await, again.ended().await] {
        assert_eq!(ran.code, Some(9), "{ran}");
        ran.expect_said(&["hint:"]);
    }
    assert_eq!(pooled.assert_one_side_takes_writes().await, "source");
    let journal = pooled.assert_complete(crowd).await;
    assert_eq!(journal.errors, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_during_a_rollback_says_that_it_is_under_way() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    // A smoke test that takes its time while the target is closed.
    let slow = "[[cutover.smoke]]\nname = \"slow\"\ntimeout = \"15s\"\n\
                sql = \"SELECT pg_sleep(4)\"\n";
    let pooled = Pooled::new(slow).await;
    let scene = &pooled.scene;
    scene.done(&["run", "--until", "switched"]).await;
    let mut rollback = scene.start(&["rollback"]);
    rollback.must_say("smoke tests").await;
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["phase"], "fenced_back", "{status:#}");
    assert_eq!(status["serves"], "target", "{status:#}");
    assert_eq!(status["held"], true, "{status:#}");
    rollback.ended().await.expect_code(0);
    scene.done(&["abort"]).await;
}

/// A rollback that died in its pause leaves the target to its clients, also where the
/// migration is ended next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_after_a_rollback_that_was_killed_ends_the_migration_on_the_target() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let pooled = Pooled::new("").await;
    let scene = &pooled.scene;
    scene.done(&["run", "--until", "switched"]).await;
    let crowd = pooled.crowd(Nature::Cut);
    crowd.has_written(50).await;
    let mut rollback = scene.start(&["rollback"]);
    rollback.must_say("draining to the barrier").await;
    rollback.kill().await;
    scene.done(&["complete"]).await;
    pooled.are_served(&crowd).await;
    crowd.stop().await;
    scene.assert_nothing_of_ours().await;
}

/// A `run` that loses its connections and is away while another command ends the migration;
/// it comes back when that is done.
async fn away_while(scene: &Scene, run: Running, ends: &str) -> Ran {
    run.signal("STOP").await;
    let ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE application_name LIKE 'trunkline%'";
    scene.source_says(ours);
    scene.target_says(ours);
    scene.done(&[ends]).await;
    scene.assert_nothing_of_ours().await;
    run.signal("CONT").await;
    let ran = run.ended().await;
    scene.assert_nothing_of_ours().await;
    ran
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_away_when_the_migration_was_given_up_begins_nothing_anew() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    let mut run = scene.start(&["run"]);
    run.must_say("== verified").await;
    let ran = away_while(&scene, run, "abort").await.expect_code(9);
    ran.expect_said(&["the migration was ended by another command"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_away_when_the_migration_was_completed_is_done() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "switched"]).await;
    let mut run = scene.start(&["run"]);
    run.must_say("keeping the old side up to date").await;
    let ran = away_while(&scene, run, "complete").await.expect_code(0);
    assert!(ran.stdout.contains("another command completed"), "{ran}");
}
