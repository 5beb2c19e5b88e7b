//! Consumers of changes beside us, through a switch: their slots are made before the pause,
//! moved to where the new side's changes begin inside it, and taken away again when the
//! switch is given up. A rollback hands them back to the slots that they left.

use trunkline_changes::Lsn;
use trunkline_postgres::{OnSide, Session};

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
    refuse_unread(run, way, &mut to).await?;
    let known = run.control.state().downstream.clone();
    let wanted = &run.plan.downstream;
    let slots = downstream::examine(follow.from(), &mut to, way.to(), wanted, &known).await?;
    if way == Way::There && known.is_empty() {
        let receipt = Entry::MakingDownstream(slots.clone());
        run.control.record(receipt).await?;
    }
    downstream::make(&mut to, way.to(), &slots).await?;
    to.close().await;
    Ok(())
}

/// A consumer that has not read the slot that it left to its end would lose the rest of it
/// when that slot is moved.
async fn refuse_unread(run: &Run<'_>, way: Way, to: &mut Session) -> Result<(), Error> {
    let (side, doing) = (
        way.to(),
        "looking whether consumers read their slots to the end",
    );
    let sql = "SELECT confirmed_flush_lsn FROM pg_catalog.pg_replication_slots \
               WHERE slot_name = $1";
    for handed in &run.control.state().handed_over {
        let row = to.query_opt(sql, &[&handed.slot]).await.on(side, doing)?;
        let Some(row) = row else { continue };
        let confirmed: Option<Lsn> = row.get(0).on(side, doing)?;
        if confirmed.is_none_or(|confirmed| confirmed < handed.barrier_lsn) {
            return Err(Error::Refused {
                why: format!(
                    "the consumer of the slot `{}` has not read it on the {side} up to {}, where \
                     it was handed over",
                    handed.slot, handed.barrier_lsn
                ),
                hint: format!("let it read the slot on the {side} to the end first"),
            });
        }
    }
    Ok(())
}

/// Moves the slots over what was written since they were made, just before clients are held.
pub(super) async fn catch_up(run: &Run<'_>, ready: &mut Ready) -> Result<(), Error> {
    let slots = movable(run, ready.extent);
    downstream::catch_up(&mut ready.to, ready.way.to(), slots).await
}

/// Hands the slots over, with everything up to the barrier applied.
pub(super) async fn hand_over(
    run: &mut Run<'_>,
    (way, extent): (Way, Extent),
    from: &mut Session,
    to: &mut Session,
    barrier: Lsn,
) -> Result<Vec<HandedOver>, Error> {
    let slots = movable(run, extent);
    if slots.is_empty() {
        return Ok(Vec::new());
    }
    let handed = downstream::hand_over(from, to, way.to(), barrier, slots).await?;
    if extent == Extent::Switch {
        run.control
            .record(Entry::HandedOver(handed.clone()))
            .await?;
    }
    Ok(handed)
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
