//! What ends applying. After any of these the applier is spent: open a new one, which reads
//! the progress back from the target.

use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::Fault;

use crate::conflict::{Conflict, Operation};
use crate::cover::CoverError;
use crate::ddl::DdlStop;

/// Why applying stopped. Nothing that was not committed before is on the target, except
/// with [`ApplyError::CommitUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The server that is written to failed: connection, disk, read-only, privileges.
    #[error(transparent)]
    Target(#[from] Fault),
    /// The connection was lost while a COMMIT was under way: it may have happened.
    #[error(
        "the connection to the target was lost during a COMMIT, which may have happened: {cause}\n\
         hint: connect again and read the position back; it is {before} or {after}"
    )]
    CommitUnknown {
        /// The position before.
        before: Lsn,
        /// The position if the commit happened.
        after: Lsn,
        /// How the connection was lost.
        #[source]
        cause: Box<Fault>,
    },
    /// Triggers and foreign keys of the target would fire.
    #[error(
        "role {role} may not set session_replication_role on the target, so that triggers and \
         foreign keys would fire while changes are applied\nhint: {remedy}"
    )]
    ReplicaRole {
        /// The role that we are on the target.
        role: String,
        /// The SQL that mends it.
        remedy: String,
    },
    /// A change came for a table that is neither mapped nor ignored.
    #[error(
        "a change came for {table} (source), which this migration neither copies nor ignores\n\
         hint: add the table to the migration's scope or leave it out explicitly"
    )]
    UnmappedTable {
        /// The table on the source.
        table: TableName,
    },
    /// The server that is written to has no such table.
    #[error(
        "the {side} has no table {table}, for which changes came\n\
         hint: create it{} and go on", by_hand(*.side)
    )]
    MissingTable {
        /// The table there.
        table: TableName,
        /// The side that is written to.
        side: Side,
    },
    /// The table that is written to lacks a column that comes with the changes.
    #[error(
        "column {column} of {table} comes with its changes and is missing on the {side}\n\
         hint: make the same change to the {side}'s table{} and go on", by_hand(*.side)
    )]
    MissingColumn {
        /// The table there.
        table: TableName,
        /// The column.
        column: String,
        /// The side that is written to.
        side: Side,
    },
    /// An update or delete came without anything to find its row by.
    #[error(
        "{operation} on {table} (source) came without a replica identity: its row cannot be found\n\
         hint: give the table a primary key or REPLICA IDENTITY FULL on the source"
    )]
    NoIdentity {
        /// The table on the source.
        table: TableName,
        /// What came.
        operation: Operation,
    },
    /// Whether the copy holds a change cannot be told.
    #[error(transparent)]
    Cover(#[from] CoverError),
    /// Some, not all, partitions that go to one target table were truncated.
    #[error(
        "TRUNCATE of {listed} of the {all} source tables that go to {target} (target): the others' \
         rows cannot be told apart there\nhint: copy {target} again"
    )]
    PartialTruncate {
        /// The table on the target.
        target: TableName,
        /// How many of its source tables were truncated (and not yet so in the copy).
        listed: usize,
        /// How many source tables it has.
        all: usize,
    },
    /// A change does not fit the target and the policy is to stop.
    #[error(
        "{0}\nhint: compare the row on both sides and mend the target, or go on with the policy \
         `park` and look at trunkline.parked"
    )]
    Conflict(Box<Conflict>),
    /// The source's structure was changed in a way that is not replayed.
    #[error(transparent)]
    Ddl(Box<DdlStop>),
    /// The progress row is not what this applier wrote last: somebody else applies too.
    #[error(
        "the progress of migration {migration} on the target is no longer at {expected}: another \
         run has moved it\nhint: only one run may apply; stop the other one"
    )]
    ProgressMoved {
        /// The migration.
        migration: String,
        /// Where it should have been.
        expected: Lsn,
    },
    /// The stream broke its own grammar.
    #[error("the stream is out of order: {0}")]
    Stream(&'static str),
    /// An earlier call failed; this applier does nothing any more.
    #[error("applying has stopped at an earlier error")]
    Spent,
}

impl ApplyError {
    /// The same, said of the server that was written to.
    pub(crate) fn on_side(self, side: Side) -> Self {
        match self {
            ApplyError::Target(fault) => ApplyError::Target(Fault { side, ..fault }),
            ApplyError::CommitUnknown {
                before,
                after,
                mut cause,
            } => {
                cause.side = side;
                ApplyError::CommitUnknown {
                    before,
                    after,
                    cause,
                }
            }
            ApplyError::MissingTable { table, .. } => ApplyError::MissingTable { table, side },
            ApplyError::MissingColumn { table, column, .. } => ApplyError::MissingColumn {
                table,
                column,
                side,
            },
            other => other,
        }
    }
}

/// The source is written to only on the way back, when it is closed to its clients.
fn by_hand(side: Side) -> &'static str {
    match side {
        Side::Source => " (as a superuser, or as our role, in BEGIN READ WRITE)",
        Side::Target => "",
    }
}
