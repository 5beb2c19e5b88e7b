//! How far earlier runs came, as both sides recorded it.

use trunkline_changes::{Lsn, Side};
use trunkline_postgres::OnSide;

use crate::error::Error;
use crate::journal::Leg;
use crate::run::Run;

/// What the records of earlier runs say of a leg.
pub(super) struct Recorded {
    /// Nothing before it is missing on the side that changes go to.
    pub(super) position: Lsn,
    pub(super) rows_applied: u64,
}

/// Reads it.
pub(super) async fn recorded_position(run: &mut Run<'_>, leg: &Leg) -> Result<Recorded, Error> {
    let doing = "reading how far changes are applied";
    let name = run.control.identity().name.clone();
    let mut to = run.connect(leg.way.to(), "progress").await?;
    let progress = trunkline_apply::read_progress(&mut to, &name)
        .await
        .on(leg.way.to(), doing)?;
    to.close().await;
    let row = run
        .control
        .session()
        .query_opt(
            "SELECT confirmed_lsn, rows_applied FROM trunkline.follower \
             WHERE migration = $1 AND leg = $2::integer",
            &[&name, &leg.number],
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
    let applied = progress.map_or(Lsn::ZERO, |progress| progress.applied);
    Ok(Recorded {
        position: applied.max(confirmed).max(leg.start),
        rows_applied,
    })
}
