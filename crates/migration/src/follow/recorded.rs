//! How far earlier runs came, as the side that changes go to recorded it.

use trunkline_changes::Lsn;
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;
use crate::journal::Leg;

/// What the records of earlier runs say of a leg.
pub(super) struct Recorded {
    /// Nothing before it is missing on the side that changes go to.
    pub(super) position: Lsn,
    pub(super) rows_applied: u64,
}

/// Reads it from the side that changes go to.
pub(super) async fn recorded_position(
    to: &mut Session,
    name: &str,
    leg: &Leg,
) -> Result<Recorded, Error> {
    let (side, doing) = (leg.way.to(), "reading how far changes are applied");
    let progress = trunkline_apply::read_progress(to, name)
        .await
        .on(side, doing)?;
    let row = to
        .query_opt(
            "SELECT confirmed_lsn, rows_applied FROM trunkline.follower \
             WHERE migration = $1 AND leg = $2::integer",
            &[&name, &leg.number],
        )
        .await
        .on(side, doing)?;
    let (confirmed, rows_applied) = match row {
        Some(row) => {
            let read = || Ok((row.get(0)?, row.get(1)?));
            read().on(side, doing)?
        }
        None => (Lsn::ZERO, 0),
    };
    let applied = progress.map_or(Lsn::ZERO, |progress| progress.applied);
    Ok(Recorded {
        position: applied.max(confirmed).max(leg.start),
        rows_applied,
    })
}
