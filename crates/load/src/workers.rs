//! The end of the workers of one step.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::LoadError;

/// Waits for all of them, so that none acts later. The first error stops the others, and is
/// given: what they say after it says less.
pub(crate) async fn all_ended<T: 'static>(
    mut workers: JoinSet<Result<T, LoadError>>,
    cancel: &CancellationToken,
) -> Result<Vec<T>, LoadError> {
    let mut results = Ok(Vec::new());
    while let Some(ended) = workers.join_next().await {
        match ended.unwrap_or_else(|panic| Err(LoadError::Task(panic.to_string()))) {
            Ok(result) => {
                if let Ok(results) = &mut results {
                    results.push(result);
                }
            }
            Err(error) => {
                cancel.cancel();
                results = results.and(Err(error));
            }
        }
    }
    results
}
