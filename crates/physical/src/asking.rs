//! What a copy, or its original, says of itself.

use trunkline_changes::Lsn;
use trunkline_postgres::Session;

use crate::error::PhysicalError;
use crate::settings::Setting;

/// Where a server stands between standby and server of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether it is a standby.
    pub inside: bool,
    /// Whether its replay is paused: at a recovery target, the position is final then.
    pub paused: bool,
    /// The end of the last record that it replayed; outside of recovery, that it wrote.
    pub position: Lsn,
    /// What was received from the server before it, if anything was.
    pub received: Option<Lsn>,
    /// The system identifier: the same on all physical copies of one cluster.
    pub system_id: u64,
    /// The timeline of its last checkpoint.
    pub timeline: i32,
}

/// Asks a server where it stands. No more than the right to connect is needed, but for the
/// system identifier, which everybody may read unless an administrator took that away.
pub async fn recovery(session: &mut Session) -> Result<Recovery, PhysicalError> {
    let asking = |cause| PhysicalError::Asking {
        doing: "asking how far recovery is",
        cause,
    };
    let row = session
        .query_one(include_str!("sql/recovery.sql"), &[])
        .await
        .map_err(asking)?;
    Ok(Recovery {
        inside: row.get(0).map_err(asking)?,
        paused: row.get(1).map_err(asking)?,
        // A standby that has replayed nothing has no position yet.
        position: row
            .get::<Option<Lsn>>(2)
            .map_err(asking)?
            .unwrap_or(Lsn::ZERO),
        received: row.get(3).map_err(asking)?,
        system_id: row.get(4).map_err(asking)?,
        timeline: row.get(5).map_err(asking)?,
    })
}

/// Lets recovery go on from a recovery target that it reached: it ends, and the server takes
/// writes. (`pg_ctl promote` does not end such a pause on PostgreSQL 12.)
pub async fn end_recovery(session: &mut Session) -> Result<(), PhysicalError> {
    session
        .batch("SELECT pg_catalog.pg_wal_replay_resume()")
        .await
        .map_err(|cause| PhysicalError::Asking {
            doing: "ending recovery",
            cause,
        })?;
    Ok(())
}

/// Settings of the original that a copy must have, too.
pub async fn carried_settings(original: &mut Session) -> Result<Vec<Setting>, PhysicalError> {
    let asking = |cause| PhysicalError::Asking {
        doing: "reading settings",
        cause,
    };
    let rows = original
        .query(include_str!("sql/carried.sql"), &[])
        .await
        .map_err(asking)?;
    let setting = |row: &trunkline_postgres::DataRow| {
        let (name, value): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(Setting::set(&name, value))
    };
    let settings: Result<Vec<Setting>, _> = rows.iter().map(setting).collect();
    settings.map_err(asking)
}

/// The tablespaces that an administrator made. `pg_basebackup` would write them to the same
/// paths, which a copy on the same machine cannot have.
pub async fn tablespaces(original: &mut Session) -> Result<Vec<String>, PhysicalError> {
    let asking = |cause| PhysicalError::Asking {
        doing: "reading tablespaces",
        cause,
    };
    let sql = "SELECT spcname FROM pg_catalog.pg_tablespace \
               WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1";
    let rows = original.query(sql, &[]).await.map_err(asking)?;
    let names: Result<Vec<String>, _> = rows.iter().map(|row| row.get(0)).collect();
    names.map_err(asking)
}
