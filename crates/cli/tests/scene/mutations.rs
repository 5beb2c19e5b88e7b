//! Rounds of changes to the type matrix that go on while a migration runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trunkline_testkit::try_connect;
use trunkline_testkit::types::TypeMatrix;

/// Between two transactions, so that a machine with two cores can follow.
const REST: Duration = Duration::from_millis(25);

/// A client that changes the matrix, round after round, until it is told to stop or its
/// session is ended.
pub(crate) struct Mutations {
    stop: CancellationToken,
    rounds: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Mutations {
    /// Begins at round 1.
    pub(crate) fn start(matrix: TypeMatrix, uri: String) -> Self {
        let stop = CancellationToken::new();
        let rounds = Arc::new(AtomicU32::new(0));
        let task = tokio::spawn(mutate(matrix, uri, stop.clone(), Arc::clone(&rounds)));
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

async fn mutate(matrix: TypeMatrix, uri: String, stop: CancellationToken, rounds: Arc<AtomicU32>) {
    let client = try_connect(&uri).await.expect("the source takes a client");
    for round in 1.. {
        for (theme, script) in matrix.mutate(round) {
            if stop.is_cancelled() {
                return;
            }
            match client.batch_execute(&script).await {
                Ok(()) => {}
                // The fence ended the session.
                Err(_) if client.is_closed() => return,
                Err(error) if error.code().is_some_and(|code| code.code() == "57P01") => return,
                Err(error) => panic!(
                    "{theme}, round {round}: {:?}\n{script}",
                    error.as_db_error()
                ),
            }
            tokio::time::sleep(REST).await;
        }
        rounds.store(round, Ordering::SeqCst);
    }
}
