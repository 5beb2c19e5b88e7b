//! Which transactions a snapshot saw: the one fact that decides whether a change is in the
//! copy or must be applied.
//!
//! The stream names transactions by 32 bits, a snapshot by 64. A transaction of the stream
//! ended within two billion transactions of the snapshot (PostgreSQL cannot run further
//! without freezing), so the nearest 64-bit number with those low bits is the one meant.
//! Only top-level ids are compared: a snapshot lists top-level ids, and the stream's
//! begin names the top-level id.

use std::fmt;
use std::str::FromStr;

/// A 64-bit transaction id (`xid8`: epoch and xid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid(u64);

impl Xid {
    /// From the 64-bit number.
    pub const fn new(xid: u64) -> Self {
        Xid(xid)
    }

    /// The 64-bit number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The 64-bit id nearest to `self` whose low half is `low`.
    #[must_use]
    pub fn nearest(self, low: u32) -> Xid {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low half is what is wanted"
        )]
        let own = self.0 as u32;
        let distance = i64::from(low.wrapping_sub(own).cast_signed());
        Xid(self.0.saturating_add_signed(distance))
    }
}

/// What `pg_current_snapshot()` printed (`txid_current_snapshot()` before version 13):
/// `xmin:xmax:running,…` (manual, section 9.27, "Transaction ID and Snapshot Information
/// Functions").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotView {
    xmin: u64,
    xmax: u64,
    running: Vec<u64>,
}

impl SnapshotView {
    /// The first id that had not been given out: no transaction from here on was seen.
    pub fn xmax(&self) -> Xid {
        Xid(self.xmax)
    }

    /// Whether the changes of a committed transaction were visible in the snapshot.
    pub fn saw(&self, xid: u32) -> bool {
        let xid = Xid(self.xmax).nearest(xid).0;
        if xid < self.xmin {
            return true;
        }
        xid < self.xmax && self.running.binary_search(&xid).is_err()
    }
}

/// The text was not a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a snapshot (expected something like 10:20:10,14)")]
pub struct ParseSnapshotError(String);

impl FromStr for SnapshotView {
    type Err = ParseSnapshotError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseSnapshotError(text.to_owned());
        let mut parts = text.splitn(3, ':');
        let mut number = || -> Option<u64> { parts.next()?.parse().ok() };
        let (xmin, xmax) = (number().ok_or_else(bad)?, number().ok_or_else(bad)?);
        let list = parts.next().ok_or_else(bad)?;
        let mut running = list
            .split(',')
            .filter(|xid| !xid.is_empty())
            .map(|xid| xid.parse().map_err(|_| bad()))
            .collect::<Result<Vec<u64>, _>>()?;
        running.sort_unstable();
        let inside = running.iter().all(|xid| (xmin..xmax).contains(xid));
        if xmin == 0 || xmin > xmax || !inside {
            return Err(bad());
        }
        Ok(SnapshotView {
            xmin,
            xmax,
            running,
        })
    }
}

impl fmt::Display for SnapshotView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.running.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{xid}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> SnapshotView {
        text.parse().expect("a snapshot")
    }

    #[test]
    fn running_and_later_transactions_were_not_seen() {
        let view = view("100:110:100,105");
        for seen in [3, 99, 101, 104, 109] {
            assert!(view.saw(seen), "{seen}");
        }
        for unseen in [100, 105, 110, 111, 5000] {
            assert!(!view.saw(unseen), "{unseen}");
        }
    }

    #[test]
    fn the_comparison_holds_across_the_32_bit_wrap() {
        let epoch = 1_u64 << 32;
        let view = view(&format!("{}:{}:{}", epoch - 5, epoch + 10, epoch - 5));
        assert!(!view.saw(u32::MAX - 4), "the running one, before the wrap");
        assert!(view.saw(u32::MAX - 5));
        assert!(view.saw(u32::MAX - 3));
        assert!(view.saw(3));
        assert!(!view.saw(10));
    }

    #[test]
    fn a_snapshot_reads_back_as_itself() {
        for text in ["10:10:", "10:20:10,14"] {
            assert_eq!(view(text).to_string(), text);
        }
        for bad in ["", "1", "1:2", "20:10:", "10:20:25", "a:b:", "0:0:"] {
            assert!(bad.parse::<SnapshotView>().is_err(), "{bad:?}");
        }
    }
}
