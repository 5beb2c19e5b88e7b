//! What [`super::prepare`] made, taken away again by the receipts in the journal.

use trunkline_capture::slot::{Plugin, SlotRecord, drop_slot};
use trunkline_changes::Side;
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::phases::{ddl_log, publication};
use crate::plan::RelayPlan;
use crate::relay;
use crate::run::Run;
use crate::subscription;

/// Drops a slot of a name that is ours. Where no record says which plugin it has, it may be
/// any that a plan can name; one of another plugin is not ours.
pub(super) async fn drop_ours(
    run: &Run<'_>,
    session: &mut Session,
    side: Side,
    name: &str,
) -> Result<(), Error> {
    let state = run.control.state();
    let mut legs = state.leg.iter().chain(&state.next_leg);
    let recorded = legs.find(|leg| leg.slot.name == name);
    let plugins = match recorded {
        Some(leg) => vec![leg.slot.plugin.clone()],
        None => [Plugin::Pgoutput, Plugin::TestDecoding]
            .map(|plugin| plugin.name().to_owned())
            .to_vec(),
    };
    for plugin in plugins {
        let record = SlotRecord {
            name: name.to_owned(),
            plugin,
            database: run.plan.server(side).database().to_owned(),
            system_id: String::new(),
            timeline: 0,
            consistent_point: trunkline_changes::Lsn::ZERO,
        };
        drop_slot(session, side, &record).await?;
    }
    Ok(())
}

/// Removes the publications and slots that we made on a side, by their receipts.
pub(crate) async fn undo(run: &mut Run<'_>, side: Side) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    if next_to_remove(run, side).is_none() {
        return Ok(removed);
    }
    let mut session = run.connect(side, "clean up").await?;
    // One at a time: what is removed may bring receipts to light of what it left behind.
    while let Some(object) = next_to_remove(run, side) {
        removed.extend(remove(run, &mut session, side, &object).await?);
        run.control.record(Entry::Removed(object)).await?;
    }
    session.close().await;
    Ok(removed)
}

fn next_to_remove(run: &Run<'_>, side: Side) -> Option<Object> {
    let receipts = &run.control.state().receipts;
    let mut ours = receipts.iter().rev();
    ours.find(|object| object.is_followed_on(side)).cloned()
}

async fn remove(
    run: &mut Run<'_>,
    session: &mut Session,
    side: Side,
    object: &Object,
) -> Result<Option<String>, Error> {
    match object {
        Object::Slot { name, .. } => {
            drop_ours(run, session, side, name).await?;
            Ok(Some(format!("dropped the slot {name} on the {side}")))
        }
        Object::RelaySlot { name } => {
            let Some(on_relay) = &run.plan.relay else {
                return Ok(Some(format!(
                    "left on the relay, if it should come back: the slot {name}"
                )));
            };
            let mut there = relay_session(on_relay, name).await?;
            drop_ours(run, &mut there, side, name).await?;
            there.close().await;
            Ok(Some(format!("dropped the slot {name} on the relay")))
        }
        Object::Publication { name, .. } => {
            let removed = publication::remove(session, name).await;
            removed.on(side, "dropping the publication")?;
            Ok(Some(format!(
                "dropped the publication {name} on the {side}"
            )))
        }
        Object::DdlLog { name, .. } => {
            ddl_log::remove(session, side, name).await?;
            Ok(Some(format!(
                "dropped the log of changes of structure {name} on the {side}"
            )))
        }
        Object::Subscription { name } => {
            subscription::remove(run, name).await?;
            Ok(Some(format!(
                "dropped the subscription {name} on the target"
            )))
        }
        Object::Structure
        | Object::SourceRecords
        | Object::Copy { .. }
        | Object::PhysicalSlot { .. } => Ok(None),
    }
}

/// A session on the relay to drop a slot. If it is gone for good, its slot is gone with it.
async fn relay_session(on_relay: &RelayPlan, slot: &str) -> Result<Session, Error> {
    match relay::connect(&on_relay.server, "clean up").await {
        Err(Error::Server(fault)) if fault.cause.sqlstate().is_none() => Err(Error::Refused {
            why: format!("the relay, on which the slot {slot} stands, does not answer: {fault}"),
            hint: "when it is back, run this again; if it is gone for good, take [relay] out of \
                   the plan, and the slot is left to it"
                .to_owned(),
        }),
        session => session,
    }
}
