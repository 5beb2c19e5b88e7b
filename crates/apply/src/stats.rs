//! What was done so far, for reports.

/// Counts since the applier was opened. Changes are counted as the source made them (before
/// folding) and once their transaction is committed on the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyStats {
    /// Inserted rows.
    pub inserted: u64,
    /// Updated rows.
    pub updated: u64,
    /// Deleted rows.
    pub deleted: u64,
    /// Tables emptied by TRUNCATE.
    pub truncated: u64,
    /// Changes left out because the copy had seen them.
    pub skipped: u64,
    /// Changes put into `trunkline.parked`.
    pub parked: u64,
    /// Changes that the policy [`crate::ConflictPolicy::Upsert`] turned into another one or
    /// accepted.
    pub mended: u64,
    /// Source transactions committed on the target.
    pub transactions: u64,
    /// Target transactions committed.
    pub batches: u64,
    /// Batches, or parts of one, whose folded plan failed and that were done one by one.
    pub one_by_one: u64,
}

impl ApplyStats {
    pub(crate) fn add(&mut self, other: &ApplyStats) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.truncated += other.truncated;
        self.skipped += other.skipped;
        self.parked += other.parked;
        self.mended += other.mended;
        self.transactions += other.transactions;
        self.batches += other.batches;
        self.one_by_one += other.one_by_one;
    }
}
