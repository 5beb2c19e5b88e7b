//! A standby of the source is read in its place: the source decodes nothing.

use trunkline_testkit::sandbox::Mode;
use trunkline_testkit::{Cluster, ClusterBuilder, skip_unless_available, until};

use crate::scene::notes::NOTES;
use crate::scene::relayed::{Overlapping, SlotWatch};
use crate::scene::{DATABASE, PATIENCE, Scene, assert_same_catalog};

/// Slots on a server, by name.
fn slots(server: &Cluster) -> String {
    server.psql("postgres", "SELECT slot_name FROM pg_replication_slots")
}

/// The whole way there, back and there again, with writers on the source.
async fn moves_through_a_relay(source: u32, target: u32) {
    let mut scene = Scene::new(source, target).await.with_shop(1).await;
    let mut relay = scene.relayed().await;
    let before = scene.catalogs().await.0;
    let watch = SlotWatch::begin(&scene.source);
    let writers = scene.writers_as("postgres").start();

    scene.done(&["run", "--until", "loaded"]).await;
    relay.restart();
    let mut following = scene.start(&["run"]);
    following.must_say("== following").await;
    relay.restart();
    following.must_say("== verified").await;
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["relay"]["state"], "standby", "{status:#}");
    assert!(status["relay"]["replay_lag_bytes"].is_u64(), "{status:#}");
    assert!(status["relay"]["wal_kept_bytes"].is_u64(), "{status:#}");
    scene.done(&["verify"]).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    writers.stop().await;
    scene.assert_same().await;
    assert_eq!(slots(&relay), "", "nothing is read from the relay any more");

    scene.target_says("INSERT INTO shop.customers (email, name) VALUES ('t@t', 'from the target')");
    let report = scene.done(&["rollback", "--json"]).await.json();
    assert_eq!(report["outcome"], "rolled_back", "{report:#}");
    scene.assert_same().await;
    let writers = scene.writers_as("postgres").start();
    until(PATIENCE, async || writers.committed() > 20).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    writers.stop().await;
    scene.assert_same().await;

    let (looks, seen) = watch.end().await;
    assert!(looks > 0 && seen.is_empty(), "{looks} looks saw {seen:?}");
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
    scene.assert_nothing_of_ours().await;
    assert_eq!(slots(&relay), "");
    assert_same_catalog("source", &before, &scene.catalogs().await.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_through_a_standby_17_decodes_nothing_on_the_source() {
    skip_unless_available!(17);
    moves_through_a_relay(17, 17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_through_a_standby_16_to_18_decodes_nothing_on_the_source() {
    skip_unless_available!(16, 18);
    moves_through_a_relay(16, 18).await;
}

/// The fact that the test below, and decision 8, rest on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standbys_own_snapshot_does_not_name_what_runs() {
    skip_unless_available!(17);
    let mut scene = Scene::new(17, 17).await.with(NOTES);
    let relay = scene.relayed().await;
    let holder = scene.on_source().await;
    let hold = "BEGIN; INSERT INTO public.notes VALUES (900, 'held')";
    holder.batch_execute(hold).await.expect("inserted");
    let row = holder.query_one("SELECT txid_current()", &[]).await;
    let held: i64 = row.expect("its number").get(0);
    scene.source_says("INSERT INTO public.notes VALUES (901, 'done')");
    until(PATIENCE, async || {
        relay.psql(DATABASE, "SELECT count(*) FROM public.notes WHERE id = 901") == "1"
    })
    .await;
    let view = relay.psql(DATABASE, "SELECT pg_current_snapshot()");
    let parts: Vec<&str> = view.split(':').collect();
    let number = |part: &str| part.parse::<i64>().expect("a number");
    assert!(
        (number(parts[0])..number(parts[1])).contains(&held),
        "{view} {held}"
    );
    assert_eq!(parts[2], "", "it names what runs: {view}");
    let seen = "SELECT count(*) FROM public.notes WHERE id = 900";
    assert_eq!(relay.psql(DATABASE, seen), "0", "and yet it is not seen");
}

/// `pg_current_snapshot()` of a standby leaves out what runs: whoever believed it would take
/// the rows of these transactions for copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_runs_while_the_standby_is_copied_is_not_lost() {
    skip_unless_available!(17);
    let mut scene = Scene::new(17, 17).await.with(NOTES);
    let relay = scene.relayed().await;
    let slow = Overlapping::begin(&scene.source.uri(DATABASE), 1000);
    scene.done(&["run", "--until", "loaded"]).await;
    let views = scene.target_says("SELECT snapshot FROM trunkline.copy_parts");
    let running = |view: &str| view.rsplit(':').next().is_some_and(|ids| !ids.is_empty());
    assert!(views.lines().any(running), "nothing ran: {views:?}");
    scene.done(&["run", "--until", "verified"]).await;
    let written = slow.end().await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    scene.assert_same_rows().await;
    let rows = scene.target_says("SELECT count(*) FROM public.notes WHERE id > 1000");
    assert_eq!(rows, written.to_string());
    drop(relay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_nothing_is_left_on_any_of_the_three() {
    skip_unless_available!(17);
    let mut scene = Scene::new(17, 17).await.with(NOTES);
    let relay = scene.relayed().await;
    let (source, target) = scene.catalogs().await;
    for until in ["loaded", "verified"] {
        scene.done(&["run", "--until", until]).await;
        assert_ne!(slots(&relay), "", "it was begun");
        assert_eq!(slots(&scene.source), "relay");
        scene.done(&["abort"]).await;
        assert_eq!(slots(&relay), "");
        let (source_after, target_after) = scene.catalogs().await;
        assert_same_catalog("source", &source, &source_after);
        assert_same_catalog("target", &target, &target_after);
    }
}

/// The slot on the relay waits for a transaction on the source, which is named; killed there,
/// the run makes it anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_while_its_slot_waits_goes_on() {
    skip_unless_available!(16);
    let mut scene = Scene::new(16, 16).await.with(NOTES);
    let relay = scene.relayed().await;
    let holder = scene.on_source().await;
    let hold = "BEGIN; INSERT INTO public.notes VALUES (5000, 'held')";
    holder.batch_execute(hold).await.expect("inserted");
    let mut running = scene.start(&["run", "--until", "verified"]);
    running.must_say("the slot waits for process").await;
    running.kill().await;
    holder.batch_execute("COMMIT").await.expect("committed");
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
    scene.done(&["abort"]).await;
    assert_eq!(slots(&relay), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_relay_is_seen_and_the_migration_can_be_given_up() {
    skip_unless_available!(17);
    let mut scene = Scene::new(17, 17).await.with(NOTES);
    let relay = scene.relayed().await;
    let mut following = scene.start(&["run"]);
    following.must_say("== verified").await;
    relay.psql("postgres", "SELECT pg_promote()");
    let ran = following.ended().await.expect_code(9);
    ran.expect_said(&["the relay was promoted", "trunkline abort"]);
    let refused = scene.trunkline(&["cutover"]).await.expect_code(9);
    refused.expect_said(&["the relay was promoted"]);
    let status = scene.done(&["status", "--json"]).await.json();
    assert_eq!(status["relay"]["state"], "promoted", "{status:#}");
    scene.source_says("INSERT INTO public.notes VALUES (7000, 'served')");
    scene.done(&["abort"]).await;
    assert_eq!(slots(&relay), "");
    scene.assert_nothing_of_ours().await;
}

/// What the slot decodes with was removed on the source, because the relay did not say that
/// it is needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidated_slot_on_the_relay_stops_the_run_with_the_way_on() {
    skip_unless_available!(17);
    let mut scene = Scene::new(17, 17).await.with(NOTES);
    let relay = scene.relayed().await;
    scene.done(&["run", "--until", "following"]).await;
    relay.psql("postgres", "ALTER SYSTEM SET hot_standby_feedback = off");
    relay.psql("postgres", "SELECT pg_reload_conf()");
    let lost = "SELECT count(*) FROM pg_replication_slots WHERE invalidation_reason IS NOT NULL";
    until(PATIENCE, async || {
        let rows = "CREATE TABLE public.dead (id int); DROP TABLE public.dead";
        scene.source_says(rows);
        scene.source_says("VACUUM pg_catalog.pg_class");
        scene.source_says("VACUUM pg_catalog.pg_attribute");
        relay.psql("postgres", lost) == "1"
    })
    .await;
    let checked = scene.trunkline(&["check"]).await.expect_code(3);
    assert!(checked.stdout.contains("relay-feedback"), "{checked}");
    let ran = scene.trunkline(&["run"]).await;
    assert_ne!(ran.code, Some(0));
    let ran = ran.expect_said(&["rows_removed", "trunkline abort"]);
    drop(ran);
    scene.done(&["abort"]).await;
    assert_eq!(slots(&relay), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_what_a_relay_lacks() {
    skip_unless_available!(15, 17);
    let mut scene = Scene::new(17, 17).await.with(NOTES);
    // A server that is no standby at all.
    let stranger = Cluster::start(17);
    stranger.create_database(DATABASE).await;
    let relay = |uri: &str| format!("[relay]\nconninfo = {uri:?}\n");
    let path = scene.path("trunkline.toml");
    scene.plan(&relay(&stranger.uri(DATABASE)));
    let checked = scene.trunkline(&["check"]).await.expect_code(3);
    for code in ["relay-promoted", "relay-stranger"] {
        assert!(checked.stdout.contains(code), "{checked}");
    }
    drop(stranger);
    // A standby without feedback, without a slot, that replays late.
    let late = |builder: ClusterBuilder| builder.setting("recovery_min_apply_delay", "1h");
    let standby = scene.source.standby("", late);
    std::fs::write(&path, relay(&standby.uri(DATABASE))).expect("written");
    let checked = scene.trunkline(&["check"]).await.expect_code(3);
    for code in ["relay-feedback", "relay-slot", "relay-delay"] {
        assert!(checked.stdout.contains(code), "{checked}");
    }
    drop(standby);
    // One that is too old to decode.
    let mut old = Scene::new(15, 17).await.with(NOTES);
    let standby = old.source.standby("", |builder| builder);
    std::fs::write(&path, relay(&standby.uri(DATABASE))).expect("written");
    scene.reach("TRUNKLINE_SOURCE", &old.source.uri(DATABASE));
    let checked = scene.trunkline(&["check"]).await.expect_code(3);
    assert!(checked.stdout.contains("relay-version"), "{checked}");
    let refused = scene.trunkline(&["run", "--until", "loaded"]).await;
    refused.expect_code(3);
}

/// The source fails over to another of its standbys, and the relay follows that: what the
/// relay had replayed is on the new source, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_over_is_gone_on_from_when_the_relay_follows() {
    skip_unless_available!(17);
    let mut scene = Scene::new(17, 17).await.with(NOTES);
    let next = scene.source.standby("next", |builder| builder);
    let mut relay = scene.relayed().await;
    scene.done(&["run", "--until", "following"]).await;
    let both = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
    until(PATIENCE, async || scene.source_says(both) == "2").await;
    scene.source_says("INSERT INTO public.notes VALUES (8000, 'before')");
    // Stopped in order, it sends everything to both.
    scene.source.stop(Mode::Fast);
    next.psql("postgres", "SELECT pg_promote()");
    next.psql(
        "postgres",
        "SELECT pg_create_physical_replication_slot('relay', true)",
    );
    // The relay still waits for the old source, and is on its timeline.
    scene.reach("TRUNKLINE_SOURCE", &next.uri(DATABASE));
    let refused = scene.trunkline(&["run", "--until", "following"]).await;
    refused
        .expect_code(9)
        .expect_said(&["on timeline 1", "on 2"]);
    let primary = ("primary_conninfo".to_owned(), next.conninfo("postgres"));
    let configured = relay.server().configure(&[primary]);
    configured.expect("the relay is told of its new primary");
    relay.restart();
    let old = std::mem::replace(&mut scene.source, next);
    scene.source_says("INSERT INTO public.notes VALUES (8001, 'after')");
    until(PATIENCE, async || {
        relay.psql(
            DATABASE,
            "SELECT count(*) FROM public.notes WHERE id = 8001",
        ) == "1"
    })
    .await;
    scene.done(&["run", "--until", "verified"]).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    scene.assert_same().await;
    drop(old);
}
