//! A live move between versions: writers run from the first statement to the last, and in the
//! end both sides hold the same, and nothing of ours is left.

use trunkline_testkit::skip_unless_available;

use crate::scene::{Pace, Scene};

async fn moves(source: u32, target: u32) {
    let scene = Scene::new(source, target).await.with_shop(1).await;
    let scene = scene.with_matrix().await;
    scene.moves_under_writers(Pace::Usual, |_| ()).await;
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
