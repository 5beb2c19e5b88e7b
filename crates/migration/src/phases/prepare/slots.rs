//! A slot is made, and whoever it waits for is named meanwhile. Holds always: the intent is
//! journaled first; what is given up is given up on the server, too.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use trunkline_capture::slot::{NewSlot, SlotRecord, open_transactions};
use trunkline_changes::Side;
use trunkline_postgres::{Canceller, OnSide, Session};

use super::taking_back::drop_ours;
use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::limits::{CANCEL_WITHIN, OUTLAST_LOOK, RELAY_SLOTS, SLOT_PATIENCE};
use crate::observer::Notice;
use crate::relay::{self, Nudge};
use crate::run::Run;
use crate::way::Way;

/// Makes a leg's slot for the side that its changes come from: on that side, or on the relay
/// that is read in its place. `from` is a session on the side itself.
pub(crate) async fn make_slot(
    run: &mut Run<'_>,
    from: &mut Session,
    way: Way,
    number: u32,
    bound: Bound,
) -> Result<SlotRecord, Error> {
    let side = way.from();
    let name = run.control.identity().object_name(number);
    let Some(on_relay) = run.plan.relay_of(side) else {
        let object = Object::Slot {
            side,
            name: name.clone(),
        };
        run.control.record(Entry::Making(object)).await?;
        // A slot without its record was made by a run that died in between: nothing was copied
        // yet, so a new one loses nothing.
        drop_ours(run, from, side, &name).await?;
        return create(run, from, way, &name, bound).await;
    };
    let object = Object::RelaySlot { name: name.clone() };
    run.control.record(Entry::Making(object)).await?;
    let mut there = relay::connect(&on_relay.server, "slot").await?;
    // The slot decodes with the catalog as the relay has it: the publication must be in it.
    relay::caught_up(run, from, &mut there).await?;
    for _ in 0..RELAY_SLOTS {
        drop_ours(run, &mut there, side, &name).await?;
        let made = create(run, from, way, &name, bound).await?;
        if relay::is_held_back(run, from, &mut there, &name).await? {
            there.close().await;
            return Ok(made);
        }
        tracing::warn!("the slot on the relay was lost before the source knew of it");
    }
    Err(Error::Refused {
        why: "a slot on the relay is lost again and again: vacuum on the source removes what it \
              needs before the relay has said so"
            .to_owned(),
        hint: "is hot_standby_feedback on, on the relay, and does it have a physical slot on the \
               source? `trunkline check` says"
            .to_owned(),
    })
}

async fn create(
    run: &Run<'_>,
    from: &mut Session,
    way: Way,
    name: &str,
    bound: Bound,
) -> Result<SlotRecord, Error> {
    let (side, plugin) = (way.from(), run.plan.decoder(way));
    run.step("replication slot");
    let slot = NewSlot::prepare(run.plan.read_from(side), side).await?;
    let canceller = slot.canceller();
    let creation = async { Ok(slot.create(name, plugin).await?) };
    let Bound::Within(time) = bound else {
        return patiently(run, from, side, &canceller, creation).await;
    };
    let made = patiently(run, from, side, &canceller, creation);
    if let Ok(made) = tokio::time::timeout(time, made).await {
        return made;
    }
    let waits_for = waited_for(from, side).await?;
    // The server gives the slot up.
    let _sent = tokio::time::timeout(CANCEL_WITHIN, canceller.cancel()).await;
    Err(Error::Refused {
        why: format!(
            "a slot on the {side} could not be made within {time:?}: it waits for {}",
            match waits_for.as_slice() {
                [] => "a transaction that has ended by now".to_owned(),
                named => named.join(", "),
            }
        ),
        hint: format!(
            "nobody was held; end what is named on the {side} (pg_terminate_backend, ROLLBACK \
             PREPARED), or wait for it, then run this again"
        ),
    })
}

/// How long a slot's creation may wait for open transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Until the operator interrupts it.
    None,
    /// So long; then it is refused, and says whom it waited for.
    Within(Duration),
}

/// Waits until every transaction that has a number now has ended.
///
/// A transaction's commit may lie in the log before the slot's consistent point, so that it
/// is not streamed, while snapshots do not see it yet: it is still on its way out (with
/// synchronous replication for as long as the standby does not answer). A table that is
/// read only after all these have ended has their rows.
pub(crate) async fn outlast_commits_under_way(
    run: &Run<'_>,
    source: &mut Session,
    what_waits: &str,
) -> Result<(), Error> {
    let doing = "waiting for transactions that are open";
    let read = async |source: &mut Session, sql: &str| -> Result<u64, Error> {
        let row = source.query_one(sql, &[]).await;
        Ok(row.and_then(|row| row.get(0)).on(Side::Source, doing)?)
    };
    // A number of our own, taken now: whatever has one already has a smaller one. (The end of
    // a snapshot would not do: it only comes after the newest transaction that has ended.)
    let now = read(source, include_str!("../../sql/take_number.sql")).await?;
    let oldest = include_str!("../../sql/oldest_running.sql");
    let mut looked = tokio::time::Instant::now();
    let mut said = BTreeSet::new();
    while read(source, oldest).await? < now {
        run.stop_if_cancelled()?;
        if looked.elapsed() >= SLOT_PATIENCE {
            say_who_is_waited_for(run, source, (Side::Source, what_waits), &mut said).await?;
            looked = tokio::time::Instant::now();
        }
        tokio::time::sleep(OUTLAST_LOOK).await;
    }
    Ok(())
}

/// Waits for a slot's creation, which waits for every open transaction: says which, and gives
/// it up when the operator interrupts. One on a relay waits for what only the source writes.
pub(crate) async fn patiently<T>(
    run: &Run<'_>,
    from: &mut Session,
    side: Side,
    canceller: &Canceller,
    creation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut creation = std::pin::pin!(creation);
    let mut said = BTreeSet::new();
    let mut look = Instant::now() + SLOT_PATIENCE;
    let mut nudge = run.plan.relay_of(side).map(|_| Nudge::new());
    loop {
        let next = nudge.as_ref().map_or(look, |nudge| nudge.next().min(look));
        tokio::select! {
            made = &mut creation => return made,
            () = tokio::time::sleep_until(next) => {
                if let Some(nudge) = &mut nudge
                    && Instant::now() >= nudge.next()
                {
                    nudge.push(run, from).await?;
                }
                if Instant::now() >= look {
                    say_who_is_waited_for(run, from, (side, "the slot"), &mut said).await?;
                    look = Instant::now() + SLOT_PATIENCE;
                }
            }
            () = run.cancel.cancelled() => {
                // The server gives the slot up; the creation ends with that error.
                let _sent = canceller.cancel().await;
                return Err(Error::Interrupted(run.control.state().phase));
            }
        }
    }
}

/// Each is said once.
async fn say_who_is_waited_for(
    run: &Run<'_>,
    from: &mut Session,
    (side, what_waits): (Side, &str),
    said: &mut BTreeSet<String>,
) -> Result<(), Error> {
    for who in waited_for(from, side).await? {
        let warning = format!("{what_waits} waits for {who}");
        if said.insert(warning.clone()) {
            run.observer.notice(Notice::Warning(&warning));
        }
    }
    Ok(())
}

/// The transactions that a slot's creation waits for, in words.
async fn waited_for(from: &mut Session, side: Side) -> Result<Vec<String>, Error> {
    let doing = "looking for open transactions";
    let open = open_transactions(from).await.on(side, doing)?;
    let described = open.into_iter().map(|open| {
        let who = match (open.pid, &open.prepared) {
            (Some(pid), _) => format!("process {pid}"),
            (None, Some(gid)) => format!("prepared transaction {gid}"),
            (None, None) => "a transaction".to_owned(),
        };
        let (user, since) = (
            open.user.unwrap_or_default(),
            open.since.unwrap_or_default(),
        );
        // It may be in any database of the server.
        let place = open.database.map(|name| format!(" in database {name}"));
        let place = place.unwrap_or_default();
        format!("{who} of {user}{place}, open since {since}")
    });
    Ok(described.collect())
}
