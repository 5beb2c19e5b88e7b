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
