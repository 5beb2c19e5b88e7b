//! A scene with a standby of the source between source and target, and somebody who looks all
//! the time that the source decodes nothing.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trunkline_testkit::{Cluster, connect, try_connect, until};

use super::{PATIENCE, Scene};

/// The standby's physical slot on the source.
pub(crate) const RELAY_SLOT: &str = "relay";

/// A standby of the scene's source that may be read in its place.
pub(crate) fn standby_of(source: &mut Cluster) -> Cluster {
    source.standby(RELAY_SLOT, |builder| {
        builder
            .setting("hot_standby_feedback", "on")
            .setting("wal_receiver_status_interval", "1s")
    })
}

impl Scene {
    /// Lets the migration read from a standby of the source.
    pub(crate) async fn relayed(&mut self) -> Cluster {
        let relay = standby_of(&mut self.source);
        let database = self.database.clone();
        until(PATIENCE, async || {
            try_connect(&relay.uri(&database)).await.is_ok()
        })
        .await;
        self.plan(&format!(
            "[relay]\nconninfo = {:?}\n",
            relay.uri(&self.database)
        ));
        relay
    }
}

/// Transactions that each hold a number for a while and overlap, so that at any moment some
/// run: each inserts a row into `notes` first, and commits later. Those of one writer are
/// short, so that younger numbers than the open ones have ended.
pub(crate) struct Overlapping {
    stop: CancellationToken,
    writing: Vec<JoinHandle<i64>>,
}

impl Overlapping {
    /// Begins; the rows' ids are above `above`.
    pub(crate) fn begin(uri: &str, above: i64) -> Self {
        const WRITERS: i64 = 4;
        let stop = CancellationToken::new();
        let write = |writer: i64| {
            let first = above + 1 + writer;
            tokio::spawn(write_slowly(uri.to_owned(), stop.clone(), first, WRITERS))
        };
        Overlapping {
            writing: (0..WRITERS).map(write).collect(),
            stop,
        }
    }

    /// Ends them; how many rows they committed.
    pub(crate) async fn end(self) -> i64 {
        self.stop.cancel();
        let mut rows = 0;
        for writing in self.writing {
            rows += writing.await.expect("it wrote");
        }
        rows
    }
}

async fn write_slowly(uri: String, stop: CancellationToken, mut id: i64, step: i64) -> i64 {
    let client = connect(&uri).await;
    let mut rows = 0;
    let hold = Duration::from_millis(match (id % step).unsigned_abs() {
        0 => 20,
        slow => 900 + 150 * slow,
    });
    while !stop.is_cancelled() {
        let insert = format!("BEGIN; INSERT INTO public.notes VALUES ({id}, 'slow')");
        client.batch_execute(&insert).await.expect("inserted");
        // Not a wait for anything: a transaction that takes this long.
        tokio::time::sleep(hold).await;
        client.batch_execute("COMMIT").await.expect("committed");
        rows += 1;
        id += step;
    }
    rows
}

/// Looks for logical slots on a server until it is asked what it saw.
pub(crate) struct SlotWatch {
    stop: CancellationToken,
    looking: JoinHandle<(u64, Vec<String>)>,
}

impl SlotWatch {
    pub(crate) fn begin(server: &Cluster) -> Self {
        let stop = CancellationToken::new();
        let looking = tokio::spawn(look(server.uri("postgres"), stop.clone()));
        SlotWatch { stop, looking }
    }

    /// How often it looked, and the logical slots that it saw.
    pub(crate) async fn end(self) -> (u64, Vec<String>) {
        self.stop.cancel();
        self.looking.await.expect("it looked")
    }
}

async fn look(uri: String, stop: CancellationToken) -> (u64, Vec<String>) {
    let (mut looks, mut seen, mut client) = (0, Vec::new(), None);
    while !stop.is_cancelled() {
        if client
            .as_ref()
            .is_none_or(tokio_postgres::Client::is_closed)
        {
            client = try_connect(&uri).await.ok();
        }
        let sql = "SELECT slot_name::text FROM pg_replication_slots WHERE slot_type = 'logical'";
        if let Some(client) = &client
            && let Ok(rows) = client.query(sql, &[]).await
        {
            looks += 1;
            seen.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen.sort();
    seen.dedup();
    (looks, seen)
}
