//! Why a step failed, before it is told to the migration; and the time that a step has.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use trunkline_migration::traffic::TrafficError;
use trunkline_postgres::PgError;

use crate::limits::{POLL_EVERY, RESTARTS_WITHIN, SHOWN_CHARS};

/// What went wrong with one component.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{path}: {cause}", path = path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("{peer}: {cause}")]
    Peer { peer: String, cause: io::Error },
    #[error("{console}: {cause}")]
    Console { console: String, cause: PgError },
    /// What a component said, or what stands somewhere, is not what it must be.
    #[error("{0}")]
    Found(String),
    #[error("it took longer than {0:.1?}")]
    TooLong(Duration),
}

impl Failure {
    pub(crate) fn found(text: impl Into<String>) -> Self {
        Failure::Found(text.into())
    }

    /// Whether the component did not take or keep a connection, which it may do again.
    fn is_of_the_connection(&self) -> bool {
        match self {
            Failure::Console { cause, .. } => cause.may_retry(),
            Failure::File { .. }
            | Failure::Peer { .. }
            | Failure::Found(_)
            | Failure::TooLong(_) => false,
        }
    }

    pub(crate) fn at(self, step: &'static str) -> TrafficError {
        TrafficError {
            step,
            why: self.to_string(),
        }
    }
}

/// Names the file in an I/O error.
pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    |cause| Failure::File { path, cause }
}

/// What a component said, in a length that can be shown.
pub(crate) fn shown(text: &str) -> String {
    text.trim().chars().take(SHOWN_CHARS).collect()
}

/// The work, given up when its time is over.
pub(crate) async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(time, work)
        .await
        .unwrap_or(Err(Failure::TooLong(time)))
}

/// Looks again while what is found is not yet what it must be; when the time is over, what
/// was found last is told.
pub(crate) async fn settled<F>(time: Duration, look: impl Fn() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut seen = None;
    let looked = tokio::time::timeout(time, async {
        loop {
            match look().await {
                Err(Failure::Found(why)) => seen = Some(why),
                decided => return decided,
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    });
    let looked = looked.await;
    looked.unwrap_or_else(|_| Err(seen.map_or(Failure::TooLong(time), Failure::Found)))
}

/// The work, begun again while its component is not there: somebody starts it again, as a
/// rule at once.
pub(crate) async fn through_restart<F>(work: impl Fn() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let until = Instant::now() + RESTARTS_WITHIN;
    loop {
        match work().await {
            Err(failure) if failure.is_of_the_connection() && Instant::now() < until => {
                tracing::debug!(%failure, "once more");
                tokio::time::sleep(POLL_EVERY).await;
            }
            done => return done,
        }
    }
}

/// Work on files, which are flushed to disk: not in a task's time.
pub(crate) async fn on_files<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| Err(Failure::found(panicked.to_string())))
}
