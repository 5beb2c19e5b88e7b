//! Waiting for a slot that another session still holds: a walsender whose client went away
//! gives it up only when it notices.

use crate::limits::{SLOT_BUSY_PAUSE_FIRST, SLOT_BUSY_PAUSE_MAX};
use std::time::Duration;
use tokio::time::Instant;
use trunkline_postgres::{Backoff, PgError, SqlState};

/// Pauses between tries, up to a deadline.
pub(crate) struct BusySlot {
    pauses: Backoff,
    give_up_at: Instant,
}

impl BusySlot {
    pub(crate) fn new(deadline: Duration) -> Self {
        BusySlot {
            pauses: Backoff::new(SLOT_BUSY_PAUSE_FIRST, SLOT_BUSY_PAUSE_MAX, u32::MAX),
            give_up_at: Instant::now() + deadline,
        }
    }

    /// The pause before the next try; `None` when the error is another one, or the deadline
    /// would pass.
    pub(crate) fn pause(&mut self, error: &PgError) -> Option<Duration> {
        if error.sqlstate() != Some(&SqlState::OBJECT_IN_USE) {
            return None;
        }
        let pause = self.pauses.next()?;
        (Instant::now() + pause < self.give_up_at).then_some(pause)
    }
}
