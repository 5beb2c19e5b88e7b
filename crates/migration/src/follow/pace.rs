//! How fast the source writes and the target follows, over the last seconds.

use std::collections::VecDeque;
use std::time::Instant;

use trunkline_changes::Lsn;

use crate::limits::{RATE_WINDOW, TICK};

/// Looks kept: the window, and one before it.
const LOOKS: usize = (RATE_WINDOW.as_millis() / TICK.as_millis()) as usize + 1;

/// The positions of both sides at the last looks.
pub(super) struct Pace {
    looks: VecDeque<(Instant, Lsn, Lsn)>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace {
            looks: VecDeque::with_capacity(LOOKS),
        }
    }

    pub(super) fn look(&mut self, source: Lsn, applied: Lsn) {
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((Instant::now(), source, applied));
    }

    /// Bytes of log between the two sides at the last look.
    pub(super) fn lag(&self) -> Option<u64> {
        self.looks
            .back()
            .map(|(_, source, applied)| source.bytes_since(*applied))
    }

    /// Bytes of log that the source writes in a second.
    pub(super) fn written(&self) -> Option<f64> {
        self.rate(|(_, source, _)| *source)
    }

    /// Bytes of log that the target follows in a second.
    pub(super) fn applied(&self) -> Option<f64> {
        self.rate(|(_, _, applied)| *applied)
    }

    fn rate(&self, position: impl Fn(&(Instant, Lsn, Lsn)) -> Lsn) -> Option<f64> {
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let bytes = position(last).bytes_since(position(first)) as f64;
        (seconds > 0.0).then(|| bytes / seconds)
    }
}
