//! Doing a piece of work again, with pauses, while its error may pass.

use tokio_util::sync::CancellationToken;
use trunkline_postgres::Backoff;

use crate::error::LoadError;
use crate::limits::{ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE};

/// The pauses for one piece of work; when they end, its last error stands.
pub(crate) fn pauses() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, ATTEMPTS)
}

/// Does work that looks before it acts until it succeeds, its error may not pass, or the
/// token is cancelled.
pub(crate) async fn retried<T, F>(
    cancel: &CancellationToken,
    mut work: impl FnMut() -> F,
) -> Result<T, LoadError>
where
    F: Future<Output = Result<T, LoadError>>,
{
    let mut pauses = pauses();
    loop {
        let ended = tokio::select! {
            ended = work() => ended,
            () = cancel.cancelled() => Err(LoadError::Cancelled),
        };
        let error = match ended {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Some(pause) = pauses.next().filter(|_| error.may_retry()) else {
            return Err(error);
        };
        tracing::warn!(%error, "trying again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return Err(LoadError::Cancelled),
        }
    }
}
