//! Whom a slot's creation waits for.

use crate::limits::SNAPSHOT_WAITERS_SHOWN;
use std::time::Duration;
use trunkline_postgres::{DataRow, PgError, Session};

/// A transaction that has written, in any database of the server. Times are `None` for a
/// role without `pg_read_all_stats`.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenTransaction {
    /// The session's process; `None` for a prepared transaction.
    pub pid: Option<i32>,
    /// The name of a prepared transaction.
    pub prepared: Option<String>,
    /// Its user.
    pub user: Option<String>,
    /// Its database.
    pub database: Option<String>,
    /// When it began, as the server prints it.
    pub since: Option<String>,
    /// How long it has run.
    pub age: Option<Duration>,
    /// How long its last statement has run, or ago it began.
    pub query_age: Option<Duration>,
    /// `active`, `idle in transaction`, …
    pub state: Option<String>,
}

/// The transactions that a slot's creation would wait for now, the oldest first, a hundred
/// at most. The session's own is left out.
pub async fn open_transactions(session: &mut Session) -> Result<Vec<OpenTransaction>, PgError> {
    let sql = include_str!("../../sql/open_transactions.sql");
    let rows = session.query(sql, &[&SNAPSHOT_WAITERS_SHOWN]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &DataRow) -> Result<OpenTransaction, PgError> {
    let duration = |seconds: Option<f64>| {
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    };
    Ok(OpenTransaction {
        pid: row.get(0)?,
        prepared: row.get(1)?,
        user: row.get(2)?,
        database: row.get(3)?,
        since: row.get(4)?,
        age: duration(row.get(5)?),
        query_age: duration(row.get(6)?),
        state: row.get(7)?,
    })
}
