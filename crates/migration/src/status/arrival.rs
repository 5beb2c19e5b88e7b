//! How far the one side is behind the other, and whether it arrives.

use serde::Serialize;
use trunkline_changes::Lsn;

/// How far the target is behind, and whether it will arrive. Pure arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "arrival")]
pub enum Arrival {
    /// It is there.
    Now,
    /// In this many seconds at this rate.
    In {
        /// Seconds.
        seconds: u64,
    },
    /// The source writes faster than the target applies.
    Never,
    /// Not measured yet.
    Unknown,
}

impl Arrival {
    /// From the lag and the two rates, in bytes of the source's log and bytes a second.
    /// A position that stands still says nothing: one large transaction may be under way.
    pub fn estimate(lag_bytes: u64, applied: Option<f64>, written: Option<f64>) -> Arrival {
        /// Below this there is nothing left to wait for: housekeeping of the source alone
        /// writes that much between two looks.
        const NEAR_BYTES: u64 = 64 * 1024;
        if lag_bytes <= NEAR_BYTES {
            return Arrival::Now;
        }
        let (Some(applied), Some(written)) = (applied, written) else {
            return Arrival::Unknown;
        };
        if applied <= 0.0 {
            return Arrival::Unknown;
        }
        let gain = applied - written;
        if gain <= 0.0 {
            return Arrival::Never;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate; both numbers are positive"
        )]
        let seconds = (lag_bytes as f64 / gain).ceil() as u64;
        Arrival::In { seconds }
    }
}

/// How far the target is behind, from whoever follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FollowStatus {
    /// `batch` or `live`.
    pub mode: &'static str,
    /// Bytes of the source's log that are not on the target.
    pub lag_bytes: u64,
    /// The last position committed on the target.
    pub applied_lsn: Lsn,
    /// Rows applied since this process follows.
    pub rows_applied: u64,
    /// Bytes of the source's log applied in a second.
    pub apply_bytes_per_second: Option<f64>,
    /// Bytes of log that the source writes in a second.
    pub source_bytes_per_second: Option<f64>,
    /// When the target arrives.
    pub arrival: Arrival,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_writes_faster_is_never_reached() {
        let far = 10 << 30;
        assert_eq!(Arrival::estimate(far, Some(1e6), Some(2e6)), Arrival::Never);
        assert_eq!(Arrival::estimate(far, None, Some(2e6)), Arrival::Unknown);
        assert_eq!(
            Arrival::estimate(far, Some(0.0), Some(0.0)),
            Arrival::Unknown
        );
        assert_eq!(Arrival::estimate(1000, None, None), Arrival::Now);
        let soon = Arrival::estimate(10_000_000, Some(3e6), Some(2e6));
        assert_eq!(soon, Arrival::In { seconds: 10 });
    }
}
