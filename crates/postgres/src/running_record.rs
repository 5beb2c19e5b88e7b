//! The record of running transactions, which decoding on a standby waits for: only the primary
//! writes it, every 15 seconds while its log grows, or when it is asked (PostgreSQL 16,
//! manual, "Snapshot Synchronization Functions": `pg_log_standby_snapshot`).

use crate::{PgError, Session};

/// How a primary was made to write the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunningRecord {
    /// It is in the log.
    Written,
    /// Our role may not ask for it. The log has grown by a message, so the server writes the
    /// record by itself, within 15 seconds.
    Expected,
}

/// Asks a primary for the record of running transactions.
pub async fn log_running_transactions(primary: &mut Session) -> Result<RunningRecord, PgError> {
    let may = "SELECT pg_catalog.has_function_privilege(p.oid, 'EXECUTE') \
               FROM pg_catalog.pg_proc AS p \
               WHERE p.proname = 'pg_log_standby_snapshot' \
                 AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace";
    let may: bool = match primary.query_opt(may, &[]).await? {
        Some(row) => row.get(0)?,
        None => false,
    };
    let (sql, done) = if may {
        (
            "SELECT pg_catalog.pg_log_standby_snapshot()",
            RunningRecord::Written,
        )
    } else {
        (
            "SELECT pg_catalog.pg_logical_emit_message(false, 'trunkline', 'running')",
            RunningRecord::Expected,
        )
    };
    primary.query_one(sql, &[]).await?;
    Ok(done)
}
