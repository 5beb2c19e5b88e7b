//! How much of the log the other side does not hold yet.

use trunkline_changes::Lsn;
use trunkline_postgres::Session;

/// How far behind we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// So many bytes of log.
    Bytes(u64),
    /// It could not be measured. Never the same as near.
    Unknown,
}

/// The log between what is durable on the other side and where the server stands now. An
/// answer that does not come is [`Lag::Unknown`]; the session then says whether it is broken.
///
/// Bytes of log, not of changes: a server whose other databases write a lot shows a lag
/// that shrinks when the position is moved on by [`crate::ReadPosition`].
pub async fn lag(session: &mut Session, durable: Lsn) -> Lag {
    let sql = include_str!("../sql/current_position.sql");
    let position = match session.query_one(sql, &[]).await {
        Ok(row) => row.get::<Lsn>(0),
        Err(error) => Err(error),
    };
    match position {
        Ok(position) => Lag::Bytes(position.bytes_since(durable)),
        Err(error) => {
            tracing::debug!(%error, "the lag could not be measured");
            Lag::Unknown
        }
    }
}
