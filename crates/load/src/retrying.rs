//! Pauses between tries of one piece of work.

use trunkline_postgres::Backoff;

use crate::limits::{ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE};

/// The pauses for one piece of work; when they end, its last error stands.
pub(crate) fn pauses() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, ATTEMPTS)
}
