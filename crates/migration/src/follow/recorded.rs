//! How far earlier runs came, as the target recorded it.

use trunkline_capture::slot::SlotRecord;
use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;

/// What the target's records say of earlier runs.
pub(super) struct Recorded {
    /// Nothing before it is missing on the target.
    pub(super) position: Lsn,
    pub(super) rows_applied: u64,
}

/// Reads it.
pub(super) async fn recorded_position(
    target: &mut Session,
    name: &str,
    record: &SlotRecord,
) -> Result<Recorded, Error> {
    let doing = "reading how far changes are applied";
    let progress = trunkline_apply::read_progress(target, name)
        .await
        .on(Side::Target, doing)?;
    let row = target
        .query_opt(
            "SELECT confirmed_lsn, rows_applied FROM trunkline.follower WHERE migration = $1",
            &[&name],
        )
        .await
        .on(Side::Target, doing)?;
    let (confirmed, rows_applied) = match row {
        Some(row) => {
            let read = || Ok((row.get(0)?, row.get(1)?));
            read().on(Side::Target, doing)?
        }
        None => (Lsn::ZERO, 0),
    };
    let applied = progress.map_or(record.consistent_point, |progress| progress.applied);
    Ok(Recorded {
        position: applied.max(confirmed),
        rows_applied,
    })
}
