//! Why differences could not be mended. Holds always: of a row's values only the key is said,
//! which the list of differences says too.

use std::io;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Fault, PgError};

/// Why differences could not be mended. What earlier batches mended stays; of the batch that
/// failed nothing does.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// A server failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A difference does not fit what the catalogs say.
    #[error("{row}: {why}")]
    Invalid {
        /// The row.
        row: String,
        /// What does not fit.
        why: String,
    },
    /// A row is not where the comparison found it.
    #[error(
        "{row}: it is not at its place on the {side} any more, nothing of its batch was changed \
         (hint: compare again while nothing writes to the target)"
    )]
    Gone {
        /// The row.
        row: String,
        /// The server where it was looked for.
        side: Side,
    },
    /// An insert did not write exactly one row: a trigger or a rule stands before it.
    #[error(
        "{row}: its insert wrote {rows} rows on the target, not one; nothing of its batch was changed"
    )]
    Touched {
        /// The row.
        row: String,
        /// How many were written.
        rows: u64,
    },
    /// A rule of the target answered in place of the statement.
    #[error(
        "{row}: {} on {table} of the target answers in its place, nothing of its batch was changed \
         (hint: ALTER TABLE … DISABLE RULE … while it is mended)",
        named(.rules)
    )]
    Ruled {
        /// The row.
        row: String,
        /// The table or partition that has the rules.
        table: TableName,
        /// Their names.
        rules: Vec<String>,
    },
    /// The target refused a row.
    #[error("{row}: target: {cause}; nothing of its batch was changed")]
    Refused {
        /// The row.
        row: String,
        /// What it said.
        #[source]
        cause: PgError,
    },
    /// Without the replica role, triggers would answer the mending with changes of their own.
    #[error(
        "target: {table} has triggers, rules or cascading foreign keys that would act while it is \
         mended, and this role may not set session_replication_role (hint: GRANT SET ON PARAMETER \
         session_replication_role, or write a script and have a superuser run it)"
    )]
    Fires {
        /// The table.
        table: TableName,
    },
    /// The script could not be written.
    #[error("writing the script: {0}")]
    Script(#[from] io::Error),
}

impl RepairError {
    /// Whether rows stood in each other's way, so that taking them all out first can help:
    /// a unique key, an exclusion constraint, a partition's bounds.
    pub(crate) fn is_clash(&self) -> bool {
        let (RepairError::Refused { cause, .. } | RepairError::Fault(Fault { cause, .. })) = self
        else {
            return false;
        };
        cause
            .sqlstate()
            .is_some_and(|code| matches!(code.as_str(), "23505" | "23P01" | "23514"))
    }
}

fn named(names: &[String]) -> String {
    let noun = if names.len() == 1 {
        "the rule"
    } else {
        "the rules"
    };
    format!("{noun} {}", names.join(", "))
}
