//! The row that says how far a migration is applied. It moves only in the transaction that
//! applied the changes, from the position that this run left it at.

use trunkline_changes::Lsn;
use trunkline_postgres::{PgError, Session};

/// The tables of this crate in the schema `trunkline`, which must exist; running it again
/// changes nothing.
pub const TABLES_SQL: &str = include_str!("../sql/tables.sql");

pub(crate) const ADVANCE_SQL: &str = include_str!("../sql/advance.sql");

/// Takes the row's lock, where it stands as expected.
pub(crate) const HOLD_SQL: &str = include_str!("../sql/hold.sql");

/// Matches where this transaction has moved the row.
pub(crate) const STILL_OURS_SQL: &str = include_str!("../sql/still_ours.sql");

/// A migration's row in `trunkline.progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where the last applied transaction's commit record ends on the source.
    pub applied: Lsn,
    /// Where it begins; zero before the first.
    pub commit: Lsn,
}

/// A position to record with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) end_lsn: Lsn,
    pub(crate) commit_lsn: Lsn,
    pub(crate) committed_at_micros: i64,
}

/// How far a migration is applied on the target; `None` before it began.
pub async fn read_progress(
    session: &mut Session,
    migration: &str,
) -> Result<Option<Progress>, PgError> {
    let row = session
        .query_opt(
            "SELECT applied_lsn, commit_lsn FROM trunkline.progress WHERE migration = $1::text",
            &[&migration],
        )
        .await?;
    row.map(|row| {
        Ok(Progress {
            applied: row.get(0)?,
            commit: row.get(1)?,
        })
    })
    .transpose()
}

/// How many changes of a migration are parked.
pub async fn count_parked(session: &mut Session, migration: &str) -> Result<u64, PgError> {
    session
        .query_one(
            "SELECT pg_catalog.count(*) FROM trunkline.parked WHERE migration = $1::text",
            &[&migration],
        )
        .await?
        .get(0)
}

/// Reads the progress, after moving it to `start` where it is not that far, and makes it
/// durable.
pub(crate) async fn begin(
    session: &mut Session,
    migration: &str,
    start: Lsn,
) -> Result<Progress, PgError> {
    session.batch("SET synchronous_commit TO on").await?;
    let at = session
        .query_one(
            "INSERT INTO trunkline.progress AS p (migration, applied_lsn, commit_lsn) \
             VALUES ($1::text, $2::pg_lsn, '0/0') \
             ON CONFLICT (migration) DO UPDATE \
             SET applied_lsn = greatest(p.applied_lsn, excluded.applied_lsn), \
                 updated_at = pg_catalog.clock_timestamp() \
             RETURNING p.applied_lsn, p.commit_lsn",
            &[&migration, &start],
        )
        .await?;
    session.batch("SET synchronous_commit TO off").await?;
    Ok(Progress {
        applied: at.get(0)?,
        commit: at.get(1)?,
    })
}

/// A commit that waits for the disk, and with it for every commit before it.
pub(crate) async fn touch(session: &mut Session, migration: &str) -> Result<(), PgError> {
    session.batch("SET synchronous_commit TO on").await?;
    session
        .execute(
            "UPDATE trunkline.progress SET updated_at = pg_catalog.clock_timestamp() \
             WHERE migration = $1::text",
            &[&migration],
        )
        .await?;
    session.batch("SET synchronous_commit TO off").await?;
    Ok(())
}
