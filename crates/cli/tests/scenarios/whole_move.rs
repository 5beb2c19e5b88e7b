//! A whole move under writers, from the first statement to the last: both sides hold the same
//! in the end, and nothing of ours is left.

use trunkline_testkit::contents::catalog;
use trunkline_testkit::until;

use crate::scene::{Mutations, PATIENCE, Pace, Scene, assert_same_catalog, seed};

impl Scene {
    /// Moves the shop and the matrix of types, and completes. `verified` looks at the scene
    /// while the stream is followed.
    pub(crate) async fn moves_under_writers(&self, pace: Pace, verified: impl FnOnce(&Scene)) {
        let before = catalog(&self.on_source().await).await;
        let writers = self.paced_clients(seed(), pace);
        let uri = self.source.uri(&self.database);
        let mutations = Mutations::paced(self.matrix(), uri, pace);

        self.done(&["run", "--until", "verified"]).await;
        verified(self);
        // Every type changed while the stream was followed.
        until(PATIENCE, async || mutations.rounds() > 0).await;
        let (seen, rounds) = (writers.committed(), mutations.rounds());
        self.done(&["verify"]).await;
        until(PATIENCE, async || mutations.rounds() > rounds).await;
        let report = self.done(&["cutover", "--json"]).await.json();
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
        self.assert_same().await;

        self.done(&["complete"]).await;
        let after = catalog(&self.on_source().await).await;
        assert_same_catalog("source", &before, &after);
        self.assert_nothing_of_ours().await;
    }
}
