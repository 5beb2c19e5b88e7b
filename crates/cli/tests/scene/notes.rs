//! A scene with one small table, for tests of what is around the rows, and short ways to ask.

use std::time::Duration;

use serde_json::Value;
use trunkline_testkit::any_major;
use trunkline_testkit::world::{Writers, WritersBuilder};

use super::Scene;

/// One table, 200 rows.
pub(crate) const NOTES: &str = "CREATE TABLE public.notes (id bigint PRIMARY KEY, body text);
    INSERT INTO public.notes SELECT n, 'note ' || n FROM generate_series(1, 200) AS n";

/// The table on the source, and servers of [`any_major`].
pub(crate) async fn notes() -> Scene {
    Scene::new(any_major(), any_major()).await.with(NOTES)
}

impl Scene {
    /// The migration's phase, as `status` says it.
    pub(crate) async fn phase(&self) -> Value {
        self.done(&["status", "--json"]).await.json()["phase"].clone()
    }

    /// Two writers to the shop on the source, as some role, that come again when they are
    /// thrown out.
    pub(crate) fn writers_as(&self, role: &str) -> WritersBuilder {
        let uri = self.source.uri(&self.database);
        Writers::to(&uri.replace("postgres@", &format!("{role}@")))
            .tasks(2)
            .pause(Duration::from_millis(30))
            .reconnecting()
    }

    /// Runs statements on the source, and gives what they print.
    pub(crate) fn source_says(&self, sql: &str) -> String {
        self.source.psql(&self.database, sql)
    }

    /// Runs statements on the target, and gives what they print.
    pub(crate) fn target_says(&self, sql: &str) -> String {
        self.target.psql(&self.database, sql)
    }
}
