//! How often the server hears from us.

use crate::limits::{STATUS_INTERVAL_MAX, STATUS_INTERVAL_MIN, STATUS_PER_TIMEOUT};
use std::time::Duration;

/// The time between two status updates for a server's `wal_sender_timeout`; zero or less
/// means that it has none.
pub(super) fn status_interval(walsender_timeout_ms: i64) -> Duration {
    match u64::try_from(walsender_timeout_ms) {
        Ok(timeout) if timeout > 0 => (Duration::from_millis(timeout) / STATUS_PER_TIMEOUT)
            .clamp(STATUS_INTERVAL_MIN, STATUS_INTERVAL_MAX),
        _ => STATUS_INTERVAL_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_updates_fall_into_the_time_out() {
        let cases = [
            (0, 2_000),
            (-1, 2_000),
            (60_000, 2_000),
            (5_000, 1_000),
            (1_000, 200),
            (1, 50),
        ];
        for (timeout, interval) in cases {
            assert_eq!(
                status_interval(timeout),
                Duration::from_millis(interval),
                "{timeout}"
            );
        }
    }
}
