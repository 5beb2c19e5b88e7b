//! Whether two servers hold the same rows: counts and checksums per table, computed inside
//! each server under snapshots that the caller pairs. Row by row validation gets its own
//! modules beside the checksum; only `repair` writes, and only to the target.

mod checksum;
mod compare;
mod difference;
mod emptied;
mod repair;
mod verdict;

pub use checksum::{Checksum, Reading, checksum};
pub use compare::{Comparer, Comparison, View};
pub use difference::{DifferenceKind, KeyValue, Place, RowDifference};
pub use repair::{
    Generated, RepairColumn, RepairError, RepairTable, RepairTables, Repaired, TextForm, repair,
    write_script,
};
pub use verdict::{Outcome, TableVerdict, judge};
