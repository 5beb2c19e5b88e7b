//! Whether two servers hold the same rows: counts and checksums per table, computed inside
<<<<<<< HEAD
//! each server under snapshots that the caller pairs, and from a part that differs down to
//! its rows and columns.
=======
//! each server under snapshots that the caller pairs. Row by row validation gets its own
//! modules beside the checksum. Whether they have the same structure is told by `schema`.
>>>>>>> schema

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
