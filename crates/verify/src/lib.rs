//! Whether two servers hold the same rows: counts and checksums per table, computed inside
//! each server under snapshots that the caller pairs, and from a part that differs down to
//! its rows and columns. Whether they have the same structure is told by `schema`. Only
//! `repair` writes, and only to the target.

mod checksum;
mod compare;
mod comparison;
mod difference;
mod emptied;
mod facts;
mod hashing;
mod limits;
mod listing;
mod looks;
mod merge;
mod naming;
mod online;
mod pairing;
mod repair;
mod schema;
mod shape;
mod verdict;
mod worker;

pub use checksum::Checksum;
pub use compare::{Comparer, Found, View};
pub use comparison::{Choice, Comparison, End, Reading};
pub use difference::{DifferenceKind, KeyValue, Place, RowDifference};
pub use limits::PART_BYTES;
pub use online::{Behind, Online, PartReport, Subject};
pub use repair::{
    Generated, RepairColumn, RepairError, RepairTable, RepairTables, Repaired, TextForm, repair,
    write_script,
};
pub use schema::{
    ObjectId, ObjectKind, SchemaChange, SchemaDescription, SchemaDifference, schema_differences,
};
pub use shape::{Range, Rows};
pub use verdict::{Outcome, RowCounts, TableVerdict};
