//! What the stream tells: transactions in commit order, each a begin, its changes, and a
//! commit.

use crate::{Lsn, Relation, Row};
use bytes::Bytes;
use std::sync::Arc;

/// The old version of an updated or deleted row, as far as the replica identity sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldRow {
    /// The key columns; every other value is NULL and means nothing.
    Key(Row),
    /// The whole row ([`crate::ReplicaIdentity::Full`]).
    Full(Row),
}

impl OldRow {
    /// The row, whichever part of it was sent.
    pub fn row(&self) -> &Row {
        match self {
            OldRow::Key(row) | OldRow::Full(row) => row,
        }
    }
}

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new row.
    Insert {
        /// Its table.
        relation: Arc<Relation>,
        /// The row.
        new: Row,
    },
    /// A changed row. `old` is sent when the key changed or the identity is full;
    /// otherwise the key of `new` is the row's key.
    Update {
        /// Its table.
        relation: Arc<Relation>,
        /// The key before, or the whole row before.
        old: Option<OldRow>,
        /// The row after; unchanged TOAST values are not sent.
        new: Row,
    },
    /// A row that is gone.
    Delete {
        /// Its table.
        relation: Arc<Relation>,
        /// Its key, or the whole row.
        old: OldRow,
    },
    /// Tables emptied by one TRUNCATE, those reached by its CASCADE included.
    Truncate {
        /// The tables.
        relations: Vec<Arc<Relation>>,
        /// Whether it said CASCADE.
        cascade: bool,
        /// Whether it said RESTART IDENTITY.
        restart_identity: bool,
    },
    /// `pg_logical_emit_message`.
    Message {
        /// The prefix that names the sender.
        prefix: String,
        /// What it says.
        content: Bytes,
    },
}

/// A transaction of the source, as its begin announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The top-level transaction's id, 32 bits of it.
    pub xid: u32,
    /// Where its commit record begins. Transactions arrive in this order, and a slot's
    /// consistent point is compared with this.
    pub commit_lsn: Lsn,
    /// Microseconds since 2000-01-01 UTC at which it committed on the source.
    pub committed_at_micros: i64,
}

/// One event of the stream after assembly: transactions are whole and in commit order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A committed transaction begins; its changes follow.
    Begin(Transaction),
    /// A change of the transaction that last began.
    Change(Change),
    /// The transaction is complete.
    Commit {
        /// The transaction that ends.
        transaction: Transaction,
        /// Where its commit record ends: the position that is recorded, and may be
        /// confirmed once it is durable on the target.
        end_lsn: Lsn,
    },
}
