//! A live move between versions: writers run from the first statement to the last, and in the
//! end both sides hold the same, and nothing of ours is left.

use trunkline_testkit::contents::catalog;
use trunkline_testkit::skip_unless_available;

use crate::scene::{Mutations, Scene, assert_same_catalog, seed};

async fn moves(source: u32, target: u32) {
    let scene = Scene::new(source, target).await.with_shop(1).await;
    let scene = scene.with_matrix().await;
    let before = catalog(&scene.on_source().await).await;
    let writers = scene.clients(seed());
    let mutations = Mutations::start(scene.matrix(), scene.source.uri(&scene.database));

    scene.done(&["run", "--until", "verified"]).await;
    let (seen, rounds) = (writers.committed(), mutations.rounds());
    scene.done(&["verify"]).await;
    let report = scene.done(&["cutover", "--json"]).await.json();
    let rounds_at_last = mutations.stop().await;
    let outcome = writers.stop().await;

    assert!(
        seen > 0 && outcome.committed > seen,
        "writers wrote all the time: {outcome:?}"
    );
    assert!(
        rounds > 0 && rounds_at_last > rounds,
        "{rounds} then {rounds_at_last} rounds"
    );
    assert_eq!(report["outcome"], "switched", "{report:#}");
    assert_eq!(report["differences"], serde_json::json!([]));
    scene.assert_same().await;

    scene.done(&["complete"]).await;
    let after = catalog(&scene.on_source().await).await;
    assert_same_catalog("source", &before, &after);
    scene.assert_nothing_of_ours().await;
}

macro_rules! moves {
    ($($name:ident $source:literal $target:literal)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            skip_unless_available!($source, $target);
            moves($source, $target).await;
        }
    )+};
}

moves! {
    a_live_database_moves_from_12_to_18 12 18
    a_live_database_moves_from_13_to_15 13 15
    a_live_database_moves_from_14_to_16 14 16
    a_live_database_moves_from_15_to_15 15 15
    a_live_database_moves_from_15_to_17 15 17
    a_live_database_moves_from_16_to_18 16 18
    a_live_database_moves_from_17_to_15 17 15
}
