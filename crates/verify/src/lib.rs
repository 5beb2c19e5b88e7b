//! Whether two servers hold the same rows: counts and checksums per table, computed inside
//! Whether two servers hold the same rows: counts and checksums per table, computed inside
//! each server under snapshots that the caller pairs, and from a part that differs down to
//! its rows and columns. And whether their structures are the same.

mod checksum;
mod compare;
mod comparison;
mod difference;
mod drill;
mod emptied;
mod hashing;
mod limits;
mod merge;
mod pairing;
mod schema;
mod shape;
mod verdict;
mod worker;

pub use checksum::Checksum;
pub use compare::{Comparer, Found, View};
pub use comparison::{Choice, Comparison, Reading};
pub use difference::{DifferenceKind, KeyValue, Place, RowDifference};
pub use schema::{
    ObjectId, ObjectKind, SchemaChange, SchemaDescription, SchemaDifference, schema_differences,
};
pub use verdict::{Outcome, RowCounts, TableVerdict};
