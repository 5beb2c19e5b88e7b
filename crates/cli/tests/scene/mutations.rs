//! Rounds of changes to the type matrix that go on while a migration runs, and a brake for
//! all who write: a machine with two cores must be able to follow them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;
use trunkline_testkit::try_connect;
use trunkline_testkit::types::TypeMatrix;
use trunkline_testkit::world::Writers;

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// What a machine with two cores can follow by pgoutput.
    Usual,
    /// What it can follow where each change is read from text, in a build for tests.
    Slow,
}

impl Pace {
    /// Between two transactions of the mutations.
    fn rest(self) -> Duration {
        match self {
            Pace::Usual => Duration::from_millis(40),
            Pace::Slow => Duration::from_millis(250),
        }
    }

    /// Between two transactions of a client.
    pub(super) fn pause(self) -> Duration {
        match self {
            Pace::Usual => Duration::from_millis(20),
            Pace::Slow => Duration::from_millis(100),
        }
    }
}

/// Log that a slot has not confirmed: above, writers pause.
const BRAKE_ABOVE_BYTES: i64 = 8 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A client that changes the matrix, round after round, until it is told to stop or its
/// session is ended.
pub(crate) struct Mutations {
    stop: CancellationToken,
    rounds: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Mutations {
    /// Begins at round 1.
    pub(crate) fn paced(matrix: TypeMatrix, uri: String, pace: Pace) -> Self {
        let stop = CancellationToken::new();
        let rounds = Arc::new(AtomicU32::new(0));
        let task = tokio::spawn(mutate(matrix, uri, pace, stop.clone(), Arc::clone(&rounds)));
        Mutations { stop, rounds, task }
    }

    /// Rounds that were completed.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.load(Ordering::SeqCst)
    }

    /// Stops after the current transaction.
    pub(crate) async fn stop(self) -> u32 {
        self.stop.cancel();
        self.task.await.expect("the mutations do not fail");
        self.rounds.load(Ordering::SeqCst)
    }
}

async fn mutate(
    matrix: TypeMatrix,
    uri: String,
    pace: Pace,
    stop: CancellationToken,
    rounds: Arc<AtomicU32>,
) {
    let client = try_connect(&uri).await.expect("the source takes a client");
    for round in 1.. {
        while is_far_behind(&client).await && !stop.is_cancelled() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        for (theme, script) in matrix.mutate(round) {
            if stop.is_cancelled() {
                return;
            }
            if !run_one(&client, theme, round, &script).await {
                return;
            }
            tokio::time::sleep(pace.rest()).await;
        }
        rounds.store(round, Ordering::SeqCst);
    }
}

/// Runs a transaction, again after a deadlock (`pg_dump` locks all tables, in an order of its
/// own); `false` when the session is gone.
async fn run_one(client: &Client, theme: &str, round: u32, script: &str) -> bool {
    loop {
        let Err(error) = client.batch_execute(script).await else {
            return true;
        };
        match error.code().map(SqlState::code) {
            // The fence ended the session.
            None | Some("57P01" | "57P02" | "57P03") => return false,
            Some("40P01") => {
                eprintln!("the mutations met a deadlock: {error:?}");
                let undone = client.batch_execute("ROLLBACK").await;
                undone.expect("a refused transaction can be undone");
            }
            Some(_) => panic!("{theme}, round {round}: {error:?}\n{script}"),
        }
    }
}

/// Pauses writers while a slot of the source is far behind.
pub(crate) async fn brake(writers: Arc<Writers>, uri: String) {
    let mut client = None;
    loop {
        if client.as_ref().is_none_or(Client::is_closed) {
            client = try_connect(&uri).await.ok();
        }
        match &client {
            Some(client) if is_far_behind(client).await => writers.pause(),
            _ => writers.resume(),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether a slot of the source is far behind; `false` when the source does not say.
async fn is_far_behind(client: &Client) -> bool {
    let lag = "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)), 0)::bigint \
               FROM pg_replication_slots WHERE NOT temporary";
    let row = client.query_one(lag, &[]).await;
    row.is_ok_and(|row| row.get::<_, i64>(0) > BRAKE_ABOVE_BYTES)
}
