//! What can go wrong while reading the stream: with the server, with what it sends, with its
//! slot, and with the temporary files on this machine.

use crate::pgoutput::DecodeError;
use crate::slot::SlotRefused;
use crate::test_decoding::line::Unreadable;
use std::io;
use std::path::PathBuf;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::Fault;

/// An error of capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The server, or the connection to it, failed.
    #[error(transparent)]
    Server(#[from] Fault),
    /// The slot is not the one that the record speaks of, or lost what we need.
    #[error(transparent)]
    Refused(#[from] SlotRefused),
    /// The stream cannot be read on.
    #[error("{side}: reading the change stream: {cause}")]
    Stream {
        /// Whose stream it is.
        side: Side,
        /// What is wrong with it.
        #[source]
        cause: StreamError,
    },
    /// The server moved the slot further than it was told to.
    #[error("{side}: slot {slot} was to be advanced to {asked} and stands at {reached}")]
    Overshot {
        /// The server.
        side: Side,
        /// The slot.
        slot: String,
        /// What is durable on the other side.
        asked: Lsn,
        /// Where the slot stands.
        reached: Lsn,
    },
    /// The task that reads the stream ended without saying why.
    #[error("{side}: reading the change stream ended unexpectedly")]
    Ended {
        /// Whose stream it was.
        side: Side,
    },
}

impl CaptureError {
    /// Whether opening the reader again, from what is durable on the target, may help.
    pub fn may_reopen(&self) -> bool {
        match self {
            CaptureError::Server(fault) => fault.cause.may_retry(),
            CaptureError::Ended { .. } => true,
            CaptureError::Refused(_)
            | CaptureError::Stream { .. }
            | CaptureError::Overshot { .. } => false,
        }
    }
}

/// What is wrong with a stream, or with keeping its running transactions.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A message that cannot be read.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A line of `test_decoding` that cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// `test_decoding` printed a change without what tells the row apart.
    #[error(
        "a change of {table} does not say which row it was: the table has no replica identity, or was dropped since"
    )]
    WithoutKey {
        /// The table.
        table: TableName,
    },
    /// The name of a table that is followed belongs to another table now: `test_decoding`
    /// tells tables by their names, so that their changes cannot be told apart.
    #[error(
        "{table} is another table now: the one that is followed was renamed or dropped, and test_decoding tells tables by their names only"
    )]
    TableReplaced {
        /// The name.
        table: TableName,
    },
    /// Rows of the peek that cannot be read.
    #[error("the rows of the peek are malformed: {0}")]
    MalformedPeek(&'static str),
    /// A message where it makes no sense.
    #[error("it is out of order: {0}")]
    OutOfOrder(String),
    /// A change names a table that the stream has not described.
    #[error("it names a table with OID {relation} that it has not described")]
    UndescribedTable {
        /// The table's OID on the source.
        relation: u32,
    },
    /// A row does not have the columns of its table.
    #[error(
        "a change of {table} has {values} values, but the table was described with {columns} columns"
    )]
    RowShape {
        /// The table.
        table: TableName,
        /// How many columns were described.
        columns: usize,
        /// How many values came.
        values: usize,
    },
    /// The position to go on from lies inside of a commit record, so it is not the end of any
    /// transaction: whether that one is applied cannot be known.
    #[error(
        "the position to go on from ({after}) lies inside of the commit at {commit_lsn} that ends at {end_lsn}; it is not a position that a commit gave"
    )]
    PositionInsideCommit {
        /// The position given.
        after: Lsn,
        /// Where the commit record begins.
        commit_lsn: Lsn,
        /// Where it ends.
        end_lsn: Lsn,
    },
    /// The folder for large transactions is full.
    #[error(
        "no space left in {} for the changes of transactions that still run on the source; make room there, or name another folder",
        folder.display()
    )]
    SpillFull {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder for large transactions cannot be used.
    #[error("{doing} in {}: {cause}", folder.display())]
    Spill {
        /// What was being done.
        doing: &'static str,
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
}
