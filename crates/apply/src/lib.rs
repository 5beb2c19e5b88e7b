//! Writes the change stream to the target: whole transactions gathered into batches, folded
//! to one change per row, written as sets, and committed together with the new position.
//! Every UPDATE and DELETE is counted; what does not fit is a conflict, never a silence.

mod applier;
mod batch;
mod catalog;
mod conflict;
mod cover;
mod ddl;
mod encode;
mod error;
#[cfg(test)]
mod fixtures;
mod fold;
mod limits;
#[doc(hidden)]
pub mod micro;
mod one_by_one;
mod options;
mod park;
mod place;
mod plan;
mod progress;
mod resolve;
mod route;
mod routes;
mod row_key;
mod sample;
mod session;
mod shape;
mod sql;
mod stats;
mod submit;
mod table;
mod texts;
mod truncate;
mod writer;

pub use applier::Applier;
pub use conflict::{Conflict, Operation, Trouble};
pub use cover::{CopyCover, CoverError, KeyRange, TableCover};
pub use ddl::{
    DdlLog, DdlMode, DdlOptions, DdlStop, ForeignKeys, InScope, LoggedChange, changes_to_look_at,
    count_replayed,
};
pub use error::ApplyError;
pub use limits::Bounds;
pub use options::{ApplyOptions, ConflictPolicy, Destination, Durability, TableMap};
pub use progress::{Progress, TABLES_SQL, count_parked, read_progress};
pub use session::open as open_session;
pub use stats::ApplyStats;
