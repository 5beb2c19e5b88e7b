//! How much a server can lock.

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
}
