//! Whether two servers hold the same rows: counts and checksums per table, computed inside
//! each server under snapshots that the caller pairs. Row by row validation gets its own
//! modules beside the checksum. Whether they have the same structure is told by `schema`.

mod checksum;
mod compare;
mod difference;
mod emptied;
mod schema;
mod verdict;

pub use checksum::{Checksum, Reading, checksum};
pub use compare::{Comparer, Comparison, View};
pub use difference::{DifferenceKind, KeyValue, Place, RowDifference};
pub use schema::{
    ObjectId, ObjectKind, SchemaChange, SchemaDescription, SchemaDifference, schema_differences,
};
pub use verdict::{Outcome, TableVerdict, judge};
