//! The route over a physical standby: it is adopted, watched, compared, promoted by the
//! cutover, and clients can go back.

use std::time::Duration;

use fastrand::Rng;
use trunkline_testkit::contents::catalog;
use trunkline_testkit::world::{self, Writers};
use trunkline_testkit::{Cluster, any_major, skip_unless_available, until};

use crate::scene::ordeal::{Blow, Strike};
use crate::scene::{DATABASE, PATIENCE, Scene, assert_same_catalog, seed};

const PLAN: &str = "[migration]\nroute = \"replica\"\n";

/// A source with a shop, and a standby of it.
async fn standby_of_a_shop(major: u32) -> Scene {
    let mut source = Cluster::start(major);
    source.create_database(DATABASE).await;
    world::create(&source.client(DATABASE).await, 1).await;
    let standby = standby_of(&mut source);
    let mut scene = Scene::over(source, standby, DATABASE);
    scene.plan(PLAN);
    scene
}

/// From a copy of its files, because not every version has its `pg_basebackup` here; which
/// would leave the slots out.
fn standby_of(source: &mut Cluster) -> Cluster {
    let standby = source.standby("", |builder| builder.setting("hot_standby_feedback", "on"));
    standby.psql(
        DATABASE,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
    );
    standby
}

/// There, with writers running through it, and back.
async fn there_and_back(major: u32) {
    skip_unless_available!(major);
    let scene = standby_of_a_shop(major).await;
    let before = catalog(&scene.on_source().await).await;
    let clients = scene.clients(seed());
    scene.done(&["check"]).await;
    let plan = scene.done(&["plan"]).await;
    assert!(plan.stdout.contains("pg_promote"), "{plan}");
    scene.done(&["run", "--until", "verified"]).await;
    let following = scene.start(&["run"]);
    let report = scene.done(&["verify", "--json"]).await.json();
    assert_eq!(report["equal"], true, "{report:#}");
    let rehearsed = scene
        .done(&["cutover", "--rehearse", "--json"])
        .await
        .json();
    assert_eq!(rehearsed["outcome"], "rehearsed", "{rehearsed:#}");
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    assert!(report["way_back_lsn"].is_string(), "{report:#}");
    let outcome = clients.stop().await;
    assert!(outcome.committed > 0, "{outcome:?}");
    scene.assert_same_rows().await;
    assert_eq!(scene.target_says("SELECT pg_is_in_recovery()").trim(), "f");
    let refused = scene.on_source().await;
    let written = refused.batch_execute("INSERT INTO shop.journal (entry) VALUES ('late')");
    written.await.expect_err("the source takes no writes");

    let on_target = Writers::to(&scene.target.uri(DATABASE))
        .tasks(2)
        .pause(Duration::from_millis(20))
        .reconnecting()
        .start();
    until(PATIENCE, async || on_target.committed() > 20).await;
    let report = scene.done(&["rollback", "--json"]).await.json();
    assert_eq!(report["outcome"], "rolled_back", "{report:#}");
    let outcome = on_target.stop().await;
    assert!(outcome.committed > 0, "{outcome:?}");
    scene.assert_same().await;

    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    scene.assert_same().await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
    scene.assert_nothing_of_ours().await;
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_standby_becomes_the_target_and_clients_can_go_back_15() {
    there_and_back(15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_standby_becomes_the_target_and_clients_can_go_back_17() {
    there_and_back(17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_given_up_leaves_the_standby_as_it_was() {
    skip_unless_available!(any_major());
    let scene = standby_of_a_shop(any_major()).await;
    let before = catalog(&scene.on_source().await).await;
    scene.done(&["run", "--until", "following"]).await;
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["phase"], "following", "{status:#}");
    assert!(status["lag_bytes"].is_u64(), "{status:#}");
    scene.done(&["cutover", "--rehearse"]).await;
    scene.done(&["abort"]).await;
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["phase"], "aborted", "{status:#}");
    assert_eq!(scene.target_says("SELECT pg_is_in_recovery()").trim(), "t");
    scene.source_says("INSERT INTO shop.journal (entry) VALUES ('still')");
    until(PATIENCE, async || {
        scene
            .target_says("SELECT count(*) FROM shop.journal WHERE entry = 'still'")
            .trim()
            == "1"
    })
    .await;
    scene.assert_nothing_of_ours().await;
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
    assert!(!scene.migration_folder().join("journal").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_standby_of_the_source_is_refused_by_check() {
    skip_unless_available!(any_major());
    let mut scene = Scene::new(any_major(), any_major()).await;
    scene.plan(PLAN);
    let refused = scene.trunkline(&["check"]).await.expect_code(3);
    assert!(refused.stdout.contains("not a standby"), "{refused}");
    scene.trunkline(&["run"]).await.expect_code(3);
    assert!(!scene.migration_folder().join("journal").exists());
    let refused = scene.trunkline(&["clone"]).await.expect_code(2);
    refused.expect_said(&["replica"]);
    let refused = scene
        .trunkline(&["check", "--include", "public.*"])
        .await
        .expect_code(2);
    refused.expect_said(&["whole server"]);
}

/// Steps of this route's cutover, as they are said.
const STEPS: [&str; 9] = [
    "comparing both sides",
    "preparing the switch",
    "holding clients",
    "fencing the side that serves",
    "draining to the barrier",
    "comparing sequences",
    "promoting the standby",
    "preparing the way back",
    "moving clients",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_that_is_killed_in_any_step_is_gone_on_from() {
    let major = any_major();
    skip_unless_available!(major);
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let mut scene = standby_of_a_shop(major).await;
    scene.done(&["run", "--until", "verified"]).await;
    let clients = scene.clients(seed);
    let mut committed = 0;
    for step in STEPS {
        let strike = Strike::at(step, Blow::KillProgram, &mut rng);
        eprintln!("{strike:?}");
        strike.kill(scene.start(&["cutover"])).await;
        if is_switched(&scene).await {
            break;
        }
        let went_on = scene.trunkline(&["run", "--until", "verified"]).await;
        // Clients were let go on the source, whatever became of the standby.
        scene.source_says("INSERT INTO shop.journal (entry) VALUES ('still')");
        assert!(clients.committed() >= committed);
        committed = clients.committed();
        if went_on.code == Some(0) {
            continue;
        }
        // It was promoted before the point of no return: the operator makes another one.
        let went_on = went_on.expect_code(9);
        went_on.expect_said(&["not a standby"]);
        scene.target = standby_of(&mut scene.source);
        let conninfo = scene.target.uri(DATABASE);
        scene.reach("TRUNKLINE_TARGET", &conninfo);
        scene.done(&["run", "--until", "verified"]).await;
    }
    if !is_switched(&scene).await {
        scene.done(&["cutover"]).await;
    }
    // What was left of the switch is done by the next command.
    scene.done(&["run", "--until", "switched"]).await;
    let outcome = clients.stop().await;
    assert!(outcome.committed > 0, "{outcome:?}");
    scene.assert_same_rows().await;
    scene.target_says("INSERT INTO shop.journal (entry) VALUES ('served')");
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}

async fn is_switched(scene: &Scene) -> bool {
    let status = scene.done(&["status", "--json"]).await.json();
    status["phase"] == "switched"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_does_not_carry_is_there_and_a_failed_smoke_test_gives_the_source_back() {
    let major = any_major();
    skip_unless_available!(major);
    let mut scene = standby_of_a_shop(major).await;
    scene.source_says(
        "CREATE UNLOGGED TABLE public.cache (id int PRIMARY KEY); \
         INSERT INTO public.cache SELECT generate_series(1, 50); \
         CREATE TABLE public.open (id int PRIMARY KEY)",
    );
    scene.source_says("SELECT pg_create_logical_replication_slot('consumer', 'test_decoding')");
    scene.plan(
        "[downstream]\nslots = [\"consumer\"]\n[[cutover.smoke]]\nname = \"open\"\n\
         sql = \"SELECT count(*) FROM public.open\"\nexpect = \"1\"\n",
    );
    scene.done(&["run", "--until", "verified"]).await;
    let given_up = scene.trunkline(&["cutover"]).await.expect_code(7);
    given_up.expect_said(&["promoted by then"]);
    scene.source_says("INSERT INTO public.open VALUES (1)");
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(scene.target_says(slots).trim(), "0", "what was made stays");
    let refused = scene.trunkline(&["run"]).await.expect_code(9);
    refused.expect_said(&["not a standby"]);

    // From 15 on its sequence is unlogged as well.
    scene.source_says(
        "CREATE UNLOGGED TABLE public.numbered (id serial PRIMARY KEY, n int); \
         INSERT INTO public.numbered (n) SELECT generate_series(1, 50)",
    );
    scene.target = standby_of(&mut scene.source);
    let conninfo = scene.target.uri(DATABASE);
    scene.reach("TRUNKLINE_TARGET", &conninfo);
    scene.done(&["run", "--until", "verified"]).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    assert_eq!(
        report["downstream"][0]["new_slot"], "consumer",
        "{report:#}"
    );
    assert_eq!(
        scene
            .target_says("SELECT count(*) FROM public.cache")
            .trim(),
        "50"
    );
    let there = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'consumer'";
    assert_eq!(scene.target_says(there).trim(), "1");
    scene.assert_same_rows().await;
    scene.target_says("INSERT INTO public.numbered (n) VALUES (51)");
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}
