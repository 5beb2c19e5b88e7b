//! What the demonstration shows in the end: the cutover's report, and the clients' own
//! memory of what was committed, held against the new server.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use trunkline_migration::Error;
use trunkline_migration::report::{CutoverReport, SCHEMA_VERSION};
use trunkline_postgres::{Conninfo, PgError, Session};

use super::writers::Seen;
use crate::output::{Report, thousands};

/// The proof report of `trunkline demo`.
#[derive(Serialize)]
pub(super) struct Proof {
    schema_version: u32,
    cutover: CutoverReport,
    /// Transactions that a server reported to a client as committed.
    transactions_committed: u64,
    /// Attempts that failed, on any server.
    attempts_failed: u64,
    /// Of the entries that clients were told are committed, those missing on the target.
    entries_missing: i64,
    /// Entries on the target that are there twice.
    entries_twice: i64,
    /// The longest time in which one client committed nothing, across the cutover.
    longest_pause_ms: f64,
}

impl Proof {
    /// Whether nothing was lost and nothing came twice.
    pub(super) fn holds(&self) -> bool {
        self.entries_missing == 0 && self.entries_twice == 0
    }
}

/// Looks on the target for everything that the clients were told is committed.
pub(super) async fn prove(
    servers: &[Conninfo; 2],
    entries: &[(i64, i64)],
    mut cutover: CutoverReport,
    seen: &Seen,
    longest_pause: Duration,
) -> Result<Proof, Error> {
    let counted = count(&servers[1], entries).await;
    // The demonstration completes by itself.
    cutover.next_steps.clear();
    let (missing, twice) = counted.map_err(|error| Error::internal(&error))?;
    Ok(Proof {
        schema_version: SCHEMA_VERSION,
        cutover,
        transactions_committed: seen.committed.load(Ordering::Relaxed),
        attempts_failed: seen.refused.load(Ordering::Relaxed),
        entries_missing: missing,
        entries_twice: twice,
        longest_pause_ms: longest_pause.as_secs_f64() * 1000.0,
    })
}

async fn count(target: &Conninfo, entries: &[(i64, i64)]) -> Result<(i64, i64), PgError> {
    let mut session = Session::connect(target, "demo proof").await?;
    let mut missing = 0;
    for (writer, last) in entries {
        let row = session
            .query_one(
                "SELECT $2::bigint - count(DISTINCT number) FROM shop.ledger \
                 WHERE writer = $1::integer AND number BETWEEN 1 AND $2::bigint",
                &[writer, last],
            )
            .await?;
        missing += row.get::<i64>(0)?;
    }
    let row = session
        .query_one(
            "SELECT count(*) - count(DISTINCT (writer, number)) FROM shop.ledger",
            &[],
        )
        .await?;
    Ok((missing, row.get(0)?))
}

impl Report for Proof {
    fn text(&self) -> String {
        let mut text = self.cutover.text();
        let _written = writeln!(
            text,
            "the clients:\n  {} transactions were reported to them as committed; {} are missing \
             on the new server, {} are there twice\n  the longest pause that one of them saw: \
             {:.0} ms; attempts that failed: {}",
            thousands(self.transactions_committed),
            self.entries_missing,
            self.entries_twice,
            self.longest_pause_ms,
            self.attempts_failed,
        );
        let verdict = if self.holds() {
            "nothing was lost"
        } else {
            "SOMETHING WAS LOST"
        };
        let _written = writeln!(text, "{verdict}");
        text
    }
}
