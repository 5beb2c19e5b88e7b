//! What can go wrong while a database is loaded. Every variant says which side and what was
//! being done; a variant is a thing that a caller would treat in a way of its own.

use std::path::PathBuf;

use trunkline_changes::TableName;
use trunkline_postgres::{Fault, PgError};

/// An error of the copy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A server refused, or its connection was lost.
    #[error(transparent)]
    Server(#[from] Fault),
    /// A pattern cannot be read.
    #[error("the filter `{pattern}` is not a pattern: {why}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A filter file cannot be read.
    #[error("the filter file, line {line}: {what}")]
    FilterSyntax {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A filter matches nothing on the source.
    #[error("the filter `{pattern}` matches nothing on the source{}", nearest.as_ref().map_or_else(String::new, |name| format!(" (hint: the nearest name is {name})")))]
    FilterMatchesNothing {
        /// As it was written.
        pattern: String,
        /// The most similar name there is.
        nearest: Option<String>,
    },
    /// A rule about names, columns or rows does not fit the source's tables.
    #[error("the transformation cannot be done: {why}")]
    Transform {
        /// Which rule, and why.
        why: String,
    },
    /// A table mapping cannot be read, or asks for what is not supported.
    #[error("the table mapping: {why}")]
    TableMapping {
        /// Which rule, and why.
        why: String,
    },
    /// No `pg_dump` and `pg_restore` that can read the source.
    #[error(
        "no pg_dump of version {needed} or later was found (found: {found}) (hint: install the client programs of PostgreSQL {needed} or later)"
    )]
    NoPrograms {
        /// The source's major version.
        needed: u32,
        /// The versions that were found.
        found: String,
    },
    /// `pg_dump` or `pg_restore` failed.
    #[error("{program} failed ({status}): {stderr}")]
    Program {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// What it said, shortened.
        stderr: String,
    },
    /// What `pg_restore` printed is not what its list announced.
    #[error("the structure cannot be read: {0}")]
    Toc(String),
    /// The target refused an object of the structure.
    #[error("target: making {entry}: {cause}{}", role_hint(entry, cause))]
    Entry {
        /// Kind and name of the object.
        entry: String,
        /// The target's words.
        #[source]
        cause: PgError,
    },
    /// A table of a standby is rewritten so often that no snapshot stays good for it.
    #[error(
        "source: {table} is emptied or rewritten all the time: no snapshot of the standby holds it (hint: run again when that is over)"
    )]
    EmptiedAgain {
        /// The table.
        table: TableName,
    },
    /// A table is in scope and stands nowhere on the target.
    #[error("target: the table {table} does not exist, nor a partitioned table above it")]
    MissingTable {
        /// Its name on the source.
        table: TableName,
    },
    /// The target's table lacks a column.
    #[error("target: {table} has no column \"{column}\" that can be written")]
    MissingColumn {
        /// The table on the target.
        table: TableName,
        /// The source's column.
        column: String,
    },
    /// The target's table holds rows that we did not bring.
    #[error(
        "target: {table} already holds rows that Trunkline did not copy (hint: empty it, or leave the table out)"
    )]
    TargetNotEmpty {
        /// The table on the target.
        table: TableName,
    },
    /// Triggers of a structure that was there before would fire for every copied row.
    #[error(
        "target: {table} has triggers that would fire while it is copied, and this role may not set session_replication_role (hint: GRANT SET ON PARAMETER session_replication_role, or disable the triggers)"
    )]
    TriggersWouldFire {
        /// The table on the target.
        table: TableName,
    },
    /// The ledger holds something that we did not write.
    #[error("target: the ledger of {table} cannot be read: {why}")]
    Ledger {
        /// The source's table.
        table: TableName,
        /// What is wrong.
        why: String,
    },
    /// A file of ours.
    #[error("{doing} {path}: {cause}")]
    File {
        /// What we were doing with it.
        doing: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The caller asked us to stop.
    #[error("stopped")]
    Cancelled,
    /// A task of ours panicked: a fault of Trunkline.
    #[error("a task of the copy broke down: {0}")]
    Task(String),
}

impl LoadError {
    /// Whether the same again may succeed.
    pub fn may_retry(&self) -> bool {
        match self {
            LoadError::Server(fault) => fault.cause.may_retry(),
            LoadError::Entry { cause, .. } => cause.may_retry(),
            LoadError::Program { stderr, .. } => may_pass(stderr),
            _ => false,
        }
    }
}

/// Whether a program of PostgreSQL failed because its server went away or was not there yet, or
/// because a client that locks several tables at once met it on its way. It gives no SQLSTATE,
/// only words: libpq's are English by our choice of locale, a server's mostly.
fn may_pass(stderr: &str) -> bool {
    [
        "ERROR:  deadlock detected",
        "ERROR:  canceling statement due to",
        "server closed the connection unexpectedly",
        "could not receive data from server",
        "could not send data to server",
        "SSL connection has been closed unexpectedly",
        "no connection to the server",
        "Connection refused",
        "Connection reset by peer",
        "terminating connection",
        "the database system is ",
    ]
    .iter()
    .any(|words| stderr.contains(words))
}

/// What to do when the target lacks a role, or ours may not act for it.
fn role_hint(entry: &str, cause: &PgError) -> &'static str {
    let about_roles = match cause {
        PgError::Server(error) => error.message.contains("role \""),
        _ => false,
    };
    let is_grant = entry.starts_with("ACL ") || entry.starts_with("DEFAULT ACL ");
    if about_roles || is_grant {
        " (hint: make the role on the target and grant it to the role that loads, or leave owners and privileges out)"
    } else {
        ""
    }
}
