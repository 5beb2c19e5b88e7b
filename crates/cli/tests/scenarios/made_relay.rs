//! A relay that Trunkline makes: a standby of the source, on this machine, that goes when the
//! migration ends.

use trunkline_testkit::contents::catalog;
use trunkline_testkit::sandbox::free_port;
use trunkline_testkit::{Cluster, connect, skip_unless_available, uri_at};

use crate::scene::copied::{Copied, assert_nothing_of_ours};
use crate::scene::relayed::SlotWatch;
use crate::scene::{DATABASE, assert_same_catalog};

/// A source, an empty target, and a plan with a relay between them.
struct Between {
    scene: Copied,
    /// Dies with the test.
    _target: Cluster,
    relay_port: u16,
}

async fn between(source: u32, target: u32) -> Between {
    let target = Cluster::start(target);
    target.create_database(DATABASE).await;
    let scene = Copied::new(Cluster::start(source), target.port()).await;
    let relay_port = free_port();
    scene.plan(&format!(
        "[relay]\nconninfo = \"{}\"\n{}",
        uri_at(relay_port, DATABASE),
        scene.made_by_us()
    ));
    Between {
        scene,
        _target: target,
        relay_port,
    }
}

impl Between {
    fn slots_on_source(&self) -> String {
        let sql = "SELECT slot_name FROM pg_replication_slots";
        self.scene.source.psql("postgres", sql)
    }

    fn assert_gone(&self) {
        assert_eq!(self.slots_on_source(), "");
        let left: Vec<_> = std::fs::read_dir(self.scene.ground.path())
            .expect("a folder")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_is_made_read_and_removed_16_to_18() {
    skip_unless_available!(16, 18);
    moves_through(16, 18).await;
}

async fn moves_through(source: u32, target: u32) {
    let between = between(source, target).await;
    let scene = &between.scene;
    let before = catalog(&scene.on_source().await).await;
    let watch = SlotWatch::begin(&scene.source);
    let writers = scene.writers();
    let role = scene.done(&["sql", "role"]).await.stdout;
    assert!(role.contains("pg_log_standby_snapshot"), "{role}");
    let checked = scene.done(&["check"]).await;
    assert!(checked.stdout.contains("standby-made"), "{checked}");
    scene.done(&["run", "--until", "verified"]).await;
    let relay = connect(&uri_at(between.relay_port, DATABASE)).await;
    let row = relay.query_one("SELECT pg_is_in_recovery()", &[]).await;
    assert!(
        row.expect("it answers").get::<_, bool>(0),
        "it is a standby"
    );
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["relay"]["state"], "standby", "{status:#}");
    scene.done(&["check"]).await;
    scene.done(&["cutover"]).await;
    writers.stop().await;
    scene.assert_same().await;
    // It is read again after a rollback.
    scene.done(&["rollback"]).await;
    scene.assert_same().await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    let (looks, seen) = watch.end().await;
    assert!(looks > 0 && seen.is_empty(), "{looks} looks saw {seen:?}");
    scene.done(&["complete"]).await;
    between.assert_gone();
    assert_nothing_of_ours("target", &catalog(&scene.on_target().await).await);
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_goes_with_a_move_that_is_killed_and_given_up() {
    skip_unless_available!(16, 18);
    let between = between(16, 18).await;
    let scene = &between.scene;
    let before = catalog(&scene.on_source().await).await;
    let writers = scene.writers();
    let steps = [
        "copying the server",
        "starting the standby",
        "replication slot",
    ];
    scene.killed_at(&steps, "loaded").await;
    scene.done(&["run", "--until", "following"]).await;
    // As after a restart of the machine: whoever comes next starts it.
    let id = std::fs::read_to_string(scene.data().join("postmaster.pid")).expect("it runs");
    let id = id.lines().next().expect("a number").to_owned();
    let killed = std::process::Command::new("kill")
        .args(["-QUIT", &id])
        .status();
    assert!(killed.expect("kill ran").success());
    trunkline_testkit::until(crate::scene::PATIENCE, async || {
        trunkline_testkit::try_connect(&uri_at(between.relay_port, DATABASE))
            .await
            .is_err()
    })
    .await;
    scene.done(&["run", "--until", "verified"]).await;
    let outcome = writers.stop().await;
    assert_eq!(outcome.disconnects, 0, "nobody was disturbed: {outcome:?}");
    let aborted = scene.done(&["abort"]).await;
    assert!(aborted.stdout.contains("stopped the relay"), "{aborted}");
    between.assert_gone();
    assert_nothing_of_ours("target", &catalog(&scene.on_target().await).await);
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

/// It may serve: only what is ours on it goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_somebody_promoted_is_left_to_them() {
    skip_unless_available!(16, 18);
    let between = between(16, 18).await;
    let scene = &between.scene;
    scene.done(&["run", "--until", "following"]).await;
    let relay = connect(&uri_at(between.relay_port, DATABASE)).await;
    let promoted = relay.query_one("SELECT pg_promote()", &[]).await;
    assert!(promoted.expect("it answers").get::<_, bool>(0));
    let refused = scene.program.run(&["run"]).await.expect_code(9);
    refused.expect_said(&["promoted"]);
    let aborted = scene.done(&["abort"]).await;
    assert!(aborted.stdout.contains("somebody promoted it"), "{aborted}");
    let slots = relay
        .query_one("SELECT count(*) FROM pg_replication_slots", &[])
        .await;
    assert_eq!(slots.expect("it serves on").get::<_, i64>(0), 0);
    assert_eq!(between.slots_on_source(), "");
    assert!(!scene.data().join("trunkline.receipt").exists());
}
