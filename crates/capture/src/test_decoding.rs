//! The output of `test_decoding` (manual, appendix F), the decoder that
//! comes with every server and needs no publication, put into the messages that `pgoutput`
//! would have sent, in front of the assembler.
//!
//! Its lines carry less, and this is what makes up for it:
//! - No position of a commit's begin, and the commit's own only at its end. A transaction is
//!   held until its commit; one that grows goes on as a streamed one does, so that memory
//!   stays bounded. Where the commit record begins is not known: the last byte of the record
//!   stands for it (`commit_lsn`).
//! - No description of tables, no key, no OID: read from the catalog (`catalog`), and again
//!   when a line names a column or a table that is not known. What a table's replica identity
//!   was at an earlier time is told by the columns of the line.
//! - No filter: tables that are not streamed are passed over by their names.

mod catalog;
mod commit_time;
pub mod line;
mod lookup;
mod message;
#[cfg(test)]
mod print;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod translator;

pub(crate) use lookup::{Lookup, LookupError};
pub(crate) use translator::{Next, Question, Translator};

use trunkline_changes::{Lsn, TableName};

/// A table whose changes are wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct StreamedTable {
    /// Its OID on the server that is read.
    pub oid: u32,
    /// Its name when it was chosen.
    pub name: TableName,
    /// Whether only what is inserted, and TRUNCATE, is wanted.
    pub inserts_only: bool,
}

/// What stands for the begin of a commit record that ends there: its last byte. It compares
/// with every position between two records as the begin does.
fn commit_lsn(end_lsn: Lsn) -> Lsn {
    Lsn::new(end_lsn.get().saturating_sub(1))
}
