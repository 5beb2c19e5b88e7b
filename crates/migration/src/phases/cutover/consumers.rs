//! Consumers of changes beside us, through a switch: their slots are made before the pause,
//! moved to where the new side's changes begin inside it, and taken away again when the
//! switch is given up. A rollback hands them back to the slots that they left.

use trunkline_changes::Lsn;
use trunkline_postgres::Session;

use super::{Extent, Ready};
use crate::downstream::{self, DownstreamSlot, HandedOver};
use crate::error::Error;
use crate::follow::Follow;
use crate::journal::Entry;
use crate::run::Run;
use crate::way::Way;

/// Makes the slots where they are missing.
pub(super) async fn make(run: &mut Run<'_>, follow: &mut Follow, way: Way) -> Result<(), Error> {
    if run.plan.downstream.is_empty() {
        return Ok(());
    }
    run.step("slots of other consumers");
    let mut to = run.connect(way.to(), "downstream").await?;
    let known = run.control.state().downstream.clone();
    let wanted = &run.plan.downstream;
    let slots = downstream::examine(follow.from(), &mut to, way.to(), wanted, &known).await?;
    if let Some(left_at) = run.control.state().left_at {
        downstream::all_read(&mut to, way.to(), left_at, &known).await?;
    }
    if way == Way::There && slots != known {
        let is_wanted = |known: &DownstreamSlot| slots.iter().any(|slot| slot.name == known.name);
        let gone: Vec<DownstreamSlot> = known
            .iter()
            .filter(|known| !is_wanted(known))
            .cloned()
            .collect();
        // The plan names them no more, and the receipt that follows neither.
        downstream::drop_made(&mut to, way.to(), &gone).await?;
        let receipt = Entry::MakingDownstream(slots.clone());
        run.control.record(receipt).await?;
    }
    downstream::make(&mut to, way.to(), &slots).await?;
    to.close().await;
    Ok(())
}

/// Moves the slots over what was written since they were made, just before clients are held.
pub(super) async fn catch_up(run: &Run<'_>, ready: &mut Ready) -> Result<(), Error> {
    let slots = movable(run, ready.extent);
    downstream::catch_up(&mut ready.to, ready.way.to(), slots).await
}

/// Hands the slots over, with everything up to the barrier applied.
pub(super) async fn hand_over(
    run: &Run<'_>,
    (way, extent): (Way, Extent),
    from: &mut Session,
    to: &mut Session,
    barrier: Lsn,
) -> Result<Vec<HandedOver>, Error> {
    let slots = movable(run, extent);
    if slots.is_empty() {
        return Ok(Vec::new());
    }
    downstream::hand_over(from, to, way.to(), barrier, slots).await
}

/// A rehearsal moves only slots that nobody reads yet.
fn movable<'a>(run: &'a Run<'_>, extent: Extent) -> &'a [DownstreamSlot] {
    let state = run.control.state();
    if extent == Extent::Rehearse && state.downstream_handed {
        return &[];
    }
    &state.downstream
}

/// Takes away what was made for a switch that was given up, or for a move that is.
pub(crate) async fn drop_made(run: &mut Run<'_>) -> Result<(), Error> {
    let made = run.control.state().downstream.clone();
    if made.is_empty() {
        return Ok(());
    }
    let side = Way::There.to();
    let mut to = run.connect(side, "downstream").await?;
    downstream::drop_made(&mut to, side, &made).await?;
    to.close().await;
    run.control.record(Entry::DownstreamDropped).await
}
