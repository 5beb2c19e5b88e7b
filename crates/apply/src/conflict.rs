//! A change that does not fit the target, told without any value of its row.

use std::fmt;

use trunkline_changes::{Lsn, TableName, Transaction};
use trunkline_postgres::PgError;

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// TRUNCATE.
    Truncate,
}

impl Operation {
    /// The SQL keyword, as it stands in `trunkline.parked`.
    pub fn keyword(self) -> &'static str {
        match self {
            Operation::Insert => "INSERT",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Truncate => "TRUNCATE",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

/// Why a change did not fit.
#[derive(Debug)]
pub enum Trouble {
    /// The row is not there.
    Missing,
    /// More than one row answers to its key.
    Several(u64),
    /// The target refused it (a constraint, a type, a trigger).
    Refused(PgError),
    /// The stream did not send what is needed to find or to make the row.
    Unknown(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Missing => f.write_str("the row is not on the target"),
            Trouble::Several(rows) => write!(f, "{rows} rows of the target answer to its key"),
            Trouble::Refused(error) => refusal(error, f),
            Trouble::Unknown(what) => f.write_str(what),
        }
    }
}

/// A server's message without the values that data exceptions (class 22) quote.
fn refusal(error: &PgError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        PgError::Server(server) if server.code.class() == "22" => {
            write!(f, "the target refused a value (SQLSTATE {})", server.code)?;
            match &server.column {
                Some(column) => write!(f, " of column {column}"),
                None => Ok(()),
            }
        }
        PgError::Server(server) => {
            write!(f, "the target refused it: {server}")?;
            match &server.constraint {
                Some(constraint) => write!(f, " [constraint {constraint}]"),
                None => Ok(()),
            }
        }
        other => write!(f, "the target refused it: {other}"),
    }
}

/// One change that does not fit: which, and why.
#[derive(Debug)]
pub struct Conflict {
    /// The table on the source.
    pub source: TableName,
    /// The table on the target.
    pub target: TableName,
    /// What the change does.
    pub operation: Operation,
    /// The names of the columns that the row is looked up by; empty when it has no key.
    pub key: Vec<String>,
    /// The transaction that made it.
    pub transaction: Transaction,
    /// Why it does not fit.
    pub trouble: Trouble,
}

impl Conflict {
    /// Where the transaction's commit record begins on the source.
    pub fn commit_lsn(&self) -> Lsn {
        self.transaction.commit_lsn
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} (target)", self.operation, self.target)?;
        if self.source != self.target {
            write!(f, ", from {} (source)", self.source)?;
        }
        write!(
            f,
            ", transaction {} committed at {}: {}",
            self.transaction.xid, self.transaction.commit_lsn, self.trouble
        )?;
        if !self.key.is_empty() {
            write!(f, " [looked up by {}]", self.key.join(", "))?;
        }
        Ok(())
    }
}
