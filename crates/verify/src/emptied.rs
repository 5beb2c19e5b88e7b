//! TRUNCATE and rewriting ALTER TABLE do not wait for snapshots: whoever reads such a table
//! afterwards finds it empty, whatever the snapshot saw. Holds always: a table that came out
//! of a comparison was not rewritten between the snapshot and the reading.

use trunkline_changes::TableName;
use trunkline_postgres::{PgError, Session};

/// Whether a table (or one of its partitions) has another file than the session's snapshot
/// knows. To be asked after it was read, in the same transaction: the lock of the reading
/// keeps it as it is.
pub(crate) async fn was_rewritten(
    session: &mut Session,
    table: &TableName,
) -> Result<bool, PgError> {
    session
        .query_one(include_str!("sql/was_rewritten.sql"), &[&table.quoted()])
        .await?
        .get(0)
}

/// Keeps tables from being emptied while the session's transaction goes on. Gives up quietly
/// where another session has a table for itself: what happens then is seen by
/// [`was_rewritten`].
pub(crate) async fn keep_from_emptying(
    session: &mut Session,
    tables: &[TableName],
) -> Result<(), PgError> {
    // Shorter than deadlock_timeout's default: it is never a writer that is ended.
    const PATIENCE: &str = "100ms";
    for table in tables {
        let sql = format!(
            "SAVEPOINT kept; SET LOCAL lock_timeout = '{PATIENCE}'; \
             LOCK TABLE {} IN ACCESS SHARE MODE; SET LOCAL lock_timeout = 0",
            table.quoted()
        );
        let refused = |error: &PgError| error.sqlstate().is_some_and(|s| s.as_str() == "55P03");
        match session.batch(&sql).await {
            Err(error) if !refused(&error) => return Err(error),
            Err(_) => session.batch("ROLLBACK TO SAVEPOINT kept").await?,
            Ok(rows) => rows,
        };
    }
    Ok(())
}
