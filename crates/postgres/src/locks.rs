//! How much a server can lock, and who has locks.

use crate::error::PgError;
use crate::session::Session;

impl Session {
    /// How many locks the server has room for at once, at the least: all sessions together
    /// (manual, section 20.12, `max_locks_per_transaction`).
    pub async fn lock_room(&mut self) -> Result<usize, PgError> {
        let sql = "SELECT current_setting('max_locks_per_transaction')::bigint \
                   * (current_setting('max_connections')::bigint \
                      + current_setting('max_prepared_transactions')::bigint)";
        let room: u64 = self.query_one(sql, &[]).await?.get(0)?;
        Ok(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Who has locks of these modes, as `pg_locks` writes them, on tables of the database: the
    /// five whose transactions are the oldest, in words.
    pub async fn table_holders(&mut self, modes: &[&str]) -> Result<Vec<String>, PgError> {
        let sql = include_str!("sql/table_holders.sql");
        let rows = self.query(sql, &[&modes]).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }
}
