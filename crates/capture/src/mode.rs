//! Batch or live: a pure decision on how far behind we are.

use crate::lag::Lag;
use crate::limits::{BATCH_ABOVE_BYTES, BATCH_ABOVE_SECONDS, LIVE_BELOW_BYTES, LIVE_BELOW_SECONDS};

/// How the slot is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By SQL, a bounded batch at a time: several times as fast.
    Batch,
    /// From the walsender, as transactions commit.
    Live,
}

/// Where the decision turns. Between the two marks nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Behind by more than this: batch.
    pub batch_above_bytes: u64,
    /// Behind by less than this: live.
    pub live_below_bytes: u64,
}

impl Thresholds {
    /// The marks for a source that writes so many bytes of log a second: nearness is a
    /// matter of time where much is written, and of bytes where little is.
    pub fn for_rate(log_bytes_per_second: u64) -> Self {
        Thresholds {
            batch_above_bytes: BATCH_ABOVE_BYTES
                .max(log_bytes_per_second.saturating_mul(BATCH_ABOVE_SECONDS)),
            live_below_bytes: LIVE_BELOW_BYTES
                .max(log_bytes_per_second.saturating_mul(LIVE_BELOW_SECONDS)),
        }
    }
}

impl Default for Thresholds {
    /// For a source whose rate is not known.
    fn default() -> Self {
        Thresholds::for_rate(0)
    }
}

/// How to read from now on. A lag that is not known means live: it is right at any
/// distance, only slower, and needs no bound on what the source gathers.
pub fn decide(current: Mode, lag: Lag, thresholds: Thresholds) -> Mode {
    match lag {
        Lag::Unknown => Mode::Live,
        Lag::Bytes(bytes) if bytes > thresholds.batch_above_bytes => Mode::Batch,
        Lag::Bytes(bytes) if bytes < thresholds.live_below_bytes => Mode::Live,
        Lag::Bytes(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn far_behind_is_batch_and_near_is_live() {
        for current in [Mode::Batch, Mode::Live] {
            let decide = |bytes| decide(current, Lag::Bytes(bytes), Thresholds::default());
            assert_eq!(decide(33 * MIB), Mode::Batch);
            assert_eq!(decide(u64::MAX), Mode::Batch);
            assert_eq!(decide(7 * MIB), Mode::Live);
            assert_eq!(decide(0), Mode::Live);
        }
    }

    #[test]
    fn between_the_marks_nothing_changes() {
        for current in [Mode::Batch, Mode::Live] {
            for bytes in [8 * MIB, 20 * MIB, 32 * MIB] {
                assert_eq!(
                    decide(current, Lag::Bytes(bytes), Thresholds::default()),
                    current
                );
            }
        }
    }

    #[test]
    fn an_unknown_lag_is_live() {
        for current in [Mode::Batch, Mode::Live] {
            assert_eq!(
                decide(current, Lag::Unknown, Thresholds::default()),
                Mode::Live
            );
        }
    }

    #[test]
    fn on_a_busy_source_nearness_is_counted_in_seconds() {
        let busy = Thresholds::for_rate(50 * MIB);
        assert_eq!(decide(Mode::Live, Lag::Bytes(200 * MIB), busy), Mode::Live);
        assert_eq!(decide(Mode::Live, Lag::Bytes(251 * MIB), busy), Mode::Batch);
        assert_eq!(decide(Mode::Batch, Lag::Bytes(49 * MIB), busy), Mode::Live);
        let extreme = Thresholds::for_rate(u64::MAX);
        assert!(extreme.live_below_bytes <= extreme.batch_above_bytes);
    }
}
