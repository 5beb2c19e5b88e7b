//! The vocabulary of a migration: positions, names, rows and changes, and which
//! transactions a snapshot saw. No I/O here; every other crate speaks in these words.

mod change;
mod columns;
mod lsn;
mod name;
mod pool;
mod relation;
mod row;
mod side;
mod snapshot;

pub use change::{Change, OldRow, StreamEvent, Transaction};
pub use columns::ColumnMap;
pub use lsn::{Lsn, ParseLsnError};
pub use name::{Ident, TableName, quote_ident, quote_literal};
pub use pool::Pool;
pub use relation::{Column, Relation, ReplicaIdentity};
pub use row::{Row, RowBuilder, Value};
pub use side::Side;
pub use snapshot::{ParseSnapshotError, SnapshotView, Xid};
