//! What must be shown before the switch, as values that only the showing can make.

use trunkline_changes::Lsn;

use crate::report::SequenceCounts;

/// Everything written on the source before a barrier is committed on the target: the
/// target's own record, read back, says so.
#[derive(Debug)]
pub(super) struct CaughtUp {
    barrier: Lsn,
    applied: Lsn,
}

impl CaughtUp {
    /// Only when the position that the target holds is at or after the barrier.
    pub(super) fn new(barrier: Lsn, applied: Lsn) -> Option<Self> {
        (applied >= barrier).then_some(CaughtUp { barrier, applied })
    }

    pub(super) fn barrier(&self) -> Lsn {
        self.barrier
    }

    pub(super) fn applied(&self) -> Lsn {
        self.applied
    }
}

/// Every sequence was set on the target and reads back as the source's.
#[derive(Debug)]
pub(super) struct SequencesSet {
    count: usize,
}

impl SequencesSet {
    /// Only when none differs.
    pub(super) fn new<D>(count: usize, differences: &[D]) -> Option<Self> {
        differences.is_empty().then_some(SequencesSet { count })
    }

    pub(super) fn counts(&self) -> SequenceCounts {
        SequenceCounts {
            set: self.count,
            verified: self.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_short_of_the_barrier_proves_nothing() {
        assert!(CaughtUp::new(Lsn::new(10), Lsn::new(9)).is_none());
        assert!(CaughtUp::new(Lsn::new(10), Lsn::new(10)).is_some());
    }

    #[test]
    fn one_sequence_that_differs_proves_nothing() {
        assert!(SequencesSet::new(5, &["s"]).is_none());
        assert!(SequencesSet::new::<&str>(5, &[]).is_some());
    }
}
