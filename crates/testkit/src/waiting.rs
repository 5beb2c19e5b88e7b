//! Waiting for a condition, with a deadline and never a fixed sleep.

use std::fmt::Debug;
use std::time::{Duration, Instant};

const POLL_EVERY: Duration = Duration::from_millis(20);

/// Waits until the condition holds; panics when the deadline passes first.
///
/// ```no_run
/// # async fn lag() -> u64 { 0 }
/// # async fn example() {
/// use std::time::Duration;
/// trunkline_testkit::until(Duration::from_secs(30), async || lag().await == 0).await;
/// # }
/// ```
#[track_caller]
pub fn until<C>(deadline: Duration, mut condition: C) -> impl Future<Output = ()>
where
    C: AsyncFnMut() -> bool,
{
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !condition().await {
            assert!(
                start.elapsed() < deadline,
                "the condition at {caller} did not hold within {deadline:?}"
            );
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

/// Waits until the question has an answer, and returns it.
#[track_caller]
pub fn until_some<T, Q>(deadline: Duration, mut question: Q) -> impl Future<Output = T>
where
    T: Debug,
    Q: AsyncFnMut() -> Option<T>,
{
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            assert!(
                start.elapsed() < deadline,
                "the question at {caller} had no answer within {deadline:?}"
            );
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}
