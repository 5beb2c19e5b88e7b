//! The messages of `pgoutput`, protocol versions 1 and 2 (manual, section 55.9, "Logical
//! Replication Message Formats"), and their decoder. Pure: bytes in, messages out; rows
//! borrow the bytes they came in.

mod cursor;
mod decode;
#[cfg(test)]
pub(crate) mod encode;
#[cfg(test)]
mod tests;

pub use decode::{DecodeError, decode, streamed_xid};

use bytes::Bytes;
use trunkline_changes::{Lsn, OldRow, Relation, Row};

/// Whether a message stands between Stream Start and Stream Stop: there, most kinds carry
/// the xid of the (sub)transaction that made the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Outside of a streamed block; always so in protocol version 1.
    Plain,
    /// Between Stream Start and Stream Stop.
    Streamed,
}

/// One message. The xid of [`Framing::Streamed`] is read with [`streamed_xid`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A committed transaction begins.
    Begin {
        /// Where its commit record begins.
        commit_lsn: Lsn,
        /// Microseconds since 2000-01-01 UTC.
        committed_at_micros: i64,
        /// Its id.
        xid: u32,
    },
    /// The transaction ends.
    Commit {
        /// Where its commit record begins.
        commit_lsn: Lsn,
        /// Where its commit record ends.
        end_lsn: Lsn,
        /// Microseconds since 2000-01-01 UTC.
        committed_at_micros: i64,
    },
    /// The transaction came to the source from elsewhere.
    Origin {
        /// Its commit position there.
        commit_lsn: Lsn,
        /// The origin's name.
        name: String,
    },
    /// `pg_logical_emit_message` (from 14 on, when asked for).
    Emitted {
        /// Whether it belongs to a transaction.
        transactional: bool,
        /// Where it was logged.
        lsn: Lsn,
        /// The prefix that names the sender.
        prefix: String,
        /// What it says.
        content: Bytes,
    },
    /// A table as the changes that follow see it.
    Relation(Relation),
    /// A type that is not built in.
    Type {
        /// Its OID on the source.
        id: u32,
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
    /// A new row.
    Insert {
        /// The table's OID.
        relation: u32,
        /// The row.
        new: Row,
    },
    /// A changed row.
    Update {
        /// The table's OID.
        relation: u32,
        /// The old key or the old row, when the server sent one.
        old: Option<OldRow>,
        /// The row after.
        new: Row,
    },
    /// A row that is gone.
    Delete {
        /// The table's OID.
        relation: u32,
        /// Its key or the whole row.
        old: OldRow,
    },
    /// Emptied tables.
    Truncate {
        /// The tables' OIDs.
        relations: Vec<u32>,
        /// CASCADE was said.
        cascade: bool,
        /// RESTART IDENTITY was said.
        restart_identity: bool,
    },
    /// A block of changes of a transaction that still runs begins.
    StreamStart {
        /// The top-level transaction.
        xid: u32,
        /// Whether it is this transaction's first block.
        first: bool,
    },
    /// The block ends.
    StreamStop,
    /// A streamed transaction has committed.
    StreamCommit {
        /// The top-level transaction.
        xid: u32,
        /// Where its commit record begins.
        commit_lsn: Lsn,
        /// Where its commit record ends.
        end_lsn: Lsn,
        /// Microseconds since 2000-01-01 UTC.
        committed_at_micros: i64,
    },
    /// A streamed transaction, or one of its subtransactions, was rolled back.
    StreamAbort {
        /// The top-level transaction.
        xid: u32,
        /// What was rolled back; the same as `xid` when it is the whole transaction.
        subxid: u32,
    },
}
