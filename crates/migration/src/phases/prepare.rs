//! Checked → Prepared: publications and slot on the source. The same things are made on the
//! side that is to serve before each switch: see [`super::way_back`].
//!
//! Needs: a role that owns the tables and has REPLICATION. Does: journals the intent, makes
//! the publications, then the slot (from there on no change is lost). Looks: by name, which
//! is ours alone. Undone: [`undo`], by the receipts in the journal.

mod slots;

use std::collections::BTreeSet;

use trunkline_capture::slot::{SlotRecord, drop_slot};
use trunkline_changes::{Side, quote_ident};
use trunkline_load::{Layout, Naming};
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;
use crate::journal::{Entry, Leg, Object};
use crate::phase::Event;
use crate::phases::publishing::{Publishing, publish, refuse_incomplete};
use crate::phases::renaming;
use crate::phases::seeding;
use crate::plan::{RelayPlan, Seed};
use crate::relay;
use crate::run::Run;
use crate::subscription;
use crate::way::Way;
use slots::outlast_commits_under_way;
pub(crate) use slots::{Bound, make_slot, patiently};

/// Makes what is missing.
pub(crate) async fn prepare(run: &mut Run<'_>) -> Result<(), Error> {
    const FIRST: u32 = 1;
    let mut source = run.connect(Side::Source, "prepare").await?;
    let tables = trunkline_load::tables(&mut source, &run.plan.scope).await?;
    run.plan.transform.examine(&mut source, &tables).await?;
    renaming::note_rules(run).await?;
    run.step("publication");
    let layout = Layout::new(&run.plan.transform, &tables, Naming::Final);
    if let Some(given) = &run.plan.publication {
        refuse_incomplete(&mut source, given, &layout, &tables).await?;
    }
    let what = Publishing {
        way: Way::There,
        tables: &tables,
        layout: &layout,
        major: source.version().major(),
    };
    publish(run, &mut source, FIRST, &what).await?;
    let slot = make_slot(run, &mut source, Side::Source, FIRST, Bound::None).await?;
    match (&run.plan.seed, &run.plan.relay) {
        (Seed::Copy, None) => outlast_commits_under_way(run, &mut source).await?,
        // From a relay rows are read under snapshots that are built from the log, too.
        (Seed::Copy, Some(_)) => {}
        // A physical copy is told by commit records, not by what a snapshot saw.
        (Seed::Snapshot(_), _) => seeding::mark(run, &mut source).await?,
    }
    let leg = Leg {
        number: FIRST,
        way: Way::There,
        start: slot.consistent_point,
        slot,
        left_out: BTreeSet::new(),
    };
    run.control.record(Entry::LegPrepared(leg)).await?;
    source.close().await;
    run.control.moved(Event::SourcePrepared).await
}

fn record_to_drop(name: &str, database: &str) -> SlotRecord {
    SlotRecord {
        name: name.to_owned(),
        plugin: trunkline_capture::slot::PLUGIN.to_owned(),
        database: database.to_owned(),
        system_id: String::new(),
        timeline: 0,
        consistent_point: trunkline_changes::Lsn::ZERO,
    }
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
            let record = record_to_drop(name, run.plan.server(side).database());
            drop_slot(session, side, &record).await?;
            Ok(Some(format!("dropped the slot {name} on the {side}")))
        }
        Object::RelaySlot { name } => {
            let Some(on_relay) = &run.plan.relay else {
                return Ok(Some(format!(
                    "left on the relay, if it should come back: the slot {name}"
                )));
            };
            let mut there = relay_session(on_relay, name).await?;
            let record = record_to_drop(name, on_relay.server.database());
            drop_slot(&mut there, side, &record).await?;
            there.close().await;
            Ok(Some(format!("dropped the slot {name} on the relay")))
        }
        Object::Publication { name, .. } => {
            let sql = format!("DROP PUBLICATION IF EXISTS {}", quote_ident(name));
            session
                .batch(&sql)
                .await
                .on(side, "dropping the publication")?;
            Ok(Some(format!(
                "dropped the publication {name} on the {side}"
            )))
        }
        Object::Subscription { name } => {
            subscription::remove(run, name).await?;
            Ok(Some(format!(
                "dropped the subscription {name} on the target"
            )))
        }
        Object::Structure | Object::SourceRecords | Object::Copy { .. } => Ok(None),
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
