//! The way back: changes flow to the source once clients are on the target, and a rollback
//! moves the clients back without a loss.

use std::time::Duration;

use trunkline_testkit::contents::catalog;
use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::notes::notes;
use crate::scene::{Scene, assert_same_catalog};

/// Waits until what was written on the target is on the source.
async fn flowed_back(scene: &Scene, count: i64) {
    let wanted = count.to_string();
    until(Duration::from_secs(30), async || {
        scene
            .source_says("SELECT count(*) FROM public.notes")
            .trim()
            == wanted
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_write_on_the_target_comes_back_and_a_rollback_loses_nothing() {
    skip_unless_available!(any_major());
    let scene = notes()
        .await
        .with("CREATE SEQUENCE public.numbers START 40");
    let before = catalog(&scene.on_source().await).await;
    scene.done(&["run", "--until", "verified"]).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    assert!(report["way_back_lsn"].is_string(), "{report:#}");

    scene.target_says("INSERT INTO public.notes SELECT n, 'new' FROM generate_series(201, 300) n");
    scene.target_says("UPDATE public.notes SET body = 'changed' WHERE id <= 10");
    scene.target_says("DELETE FROM public.notes WHERE id > 290");
    scene.target_says("SELECT nextval('public.numbers') FROM generate_series(1, 5)");
    let following = scene.start(&["run"]);
    flowed_back(&scene, 290).await;

    let report = scene.done(&["rollback", "--json"]).await.json();
    assert_eq!(report["outcome"], "rolled_back", "{report:#}");
    assert_eq!(report["serves"], "source", "{report:#}");
    scene.assert_same().await;
    assert_eq!(
        scene.source_says("SELECT nextval('public.numbers')").trim(),
        "45"
    );

    scene.source_says("INSERT INTO public.notes VALUES (1000, 'on the source again')");
    let report = scene.done(&["cutover", "--json"]).await.json();
    assert_eq!(report["outcome"], "switched", "{report:#}");
    scene.assert_same().await;
    scene.target_says("INSERT INTO public.notes VALUES (1001, 'on the target again')");
    flowed_back(&scene, 292).await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
    scene.source_says("DELETE FROM public.notes WHERE id >= 1000");
    scene.assert_nothing_of_ours().await;
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_whose_old_server_is_gone_can_be_completed() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    scene.done(&["run", "--until", "switched"]).await;
    scene.source.kill();
    let refused = scene.trunkline(&["complete"]).await.expect_code(4);
    refused.expect_said(&["--source-is-gone"]);
    let ended = scene.done(&["complete", "--source-is-gone"]).await;
    assert!(ended.stdout.contains("the schema trunkline"), "{ended}");
    let ours = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(scene.target_says(ours).trim(), "0");
    scene.target_says("INSERT INTO public.notes VALUES (1000, 'served')");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_without_a_way_back_leaves_none() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    let report = scene
        .done(&["cutover", "--no-way-back", "--json"])
        .await
        .json();
    assert!(report["way_back_lsn"].is_null(), "{report:#}");
    let ours = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(scene.target_says(ours).trim(), "0");
    assert_eq!(scene.source_says(ours).trim(), "0");
    let refused = scene.trunkline(&["rollback"]).await.expect_code(9);
    refused.expect_said(&["no way back"]);
    scene.done(&["run"]).await;
    scene.done(&["complete"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_changes_nothing_and_can_be_repeated() {
    skip_unless_available!(any_major());
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    let before = scene.catalogs().await;
    for _ in 0..2 {
        let report = scene
            .done(&["cutover", "--rehearse", "--json"])
            .await
            .json();
        assert_eq!(report["outcome"], "rehearsed", "{report:#}");
        assert_eq!(report["rehearsal"]["go"], true);
        assert!(report["rehearsal"]["expected_pause_ms"].is_number());
        let after = scene.catalogs().await;
        assert_same_catalog("source", &before.0, &after.0);
        scene.source_says("INSERT INTO public.notes SELECT max(id) + 1 FROM public.notes");
    }
    scene.done(&["run", "--until", "verified"]).await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
}
