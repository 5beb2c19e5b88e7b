//! One look at a standby, and at what it follows.

use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::Error;

/// What a standby says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StandbyLook {
    /// Whether it is one still.
    pub(crate) is_standby: bool,
    /// Up to where it has replayed the source's log; none once it is promoted.
    pub(crate) replayed: Option<Lsn>,
    /// Whether somebody paused its replay.
    pub(crate) paused: bool,
    /// Whether it is connected to what it follows.
    pub(crate) receives: bool,
}

impl StandbyLook {
    /// Asks the server.
    pub(crate) async fn read(standby: &mut Session) -> Result<Self, Error> {
        let read = Self::try_read(standby).await;
        Ok(read.on(Side::Target, "looking at the standby")?)
    }

    async fn try_read(standby: &mut Session) -> Result<Self, PgError> {
        let sql = include_str!("../sql/standby/look.sql");
        let row = standby.query_one(sql, &[]).await?;
        Ok(StandbyLook {
            is_standby: row.get(0)?,
            replayed: row.get(1)?,
            paused: row.get(2)?,
            receives: row.get(3)?,
        })
    }
}

/// Up to where the source's log is on its disk, and so may be sent.
pub(crate) async fn written(source: &mut Session) -> Result<Lsn, Error> {
    let sql = "SELECT pg_catalog.pg_current_wal_flush_lsn()";
    let row = source.query_one(sql, &[]).await;
    let position = row.and_then(|row| row.get(0));
    Ok(position.on(Side::Source, "reading the log's position")?)
}
