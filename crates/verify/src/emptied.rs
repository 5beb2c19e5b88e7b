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

/// Keeps tables from being emptied while the session's transaction goes on; gives those that
/// another session has, or waits to have, for itself. Never waits: a writer that empties two
/// tables could otherwise wait for us, and we for it.
pub(crate) async fn keep_from_emptying(
    session: &mut Session,
    tables: &[TableName],
) -> Result<Vec<TableName>, PgError> {
    let mut taken = Vec::new();
    for table in tables {
        let sql = format!(
            "SAVEPOINT kept; LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT",
            table.quoted()
        );
        match session.batch(&sql).await {
            Err(error) if error.sqlstate().is_some_and(|s| s.as_str() == "55P03") => {
                session.batch("ROLLBACK TO SAVEPOINT kept").await?;
                taken.push(table.clone());
            }
            locked => {
                locked?;
            }
        }
    }
    Ok(taken)
}
