//! What we made of a standby, taken away again: the server with its folder, and the physical
//! slot on the source that it streamed from. Holds always: the server goes, or stops, before
//! its slot; a server that somebody else promoted stays, because it may serve.

use trunkline_changes::Side;
use trunkline_physical::{Made, Setting, StopMode};
use trunkline_postgres::{OnSide, Session};

use super::making::{ITS_OWN, look_at_slot, named, until_free, was_promoted};
use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::limits::COPY_RECOVERS_WITHIN;
use crate::phases::base_backup::{owner, receipt, release, remove_at, standing};
use crate::run::Run;

/// Removes a relay that we made, with the slots on it, and its own slot on the source.
pub(crate) async fn take_relay_away(run: &mut Run<'_>) -> Result<Vec<String>, Error> {
    if run.plan.route.replica().is_some() {
        // The slot is the target's: see `stop_target`.
        return Ok(Vec::new());
    }
    let mut done = remove_relay(run).await?;
    done.extend(match run.plan.made_standby() {
        Some(_) => drop_slot(run).await?,
        None => leave_unnamed(run).await?,
    });
    Ok(done)
}

/// What is left of a relay that we made, where the plan does not name it any more: it is on a
/// machine that is gone, or somebody keeps it.
async fn leave_unnamed(run: &mut Run<'_>) -> Result<Option<String>, Error> {
    let Some(name) = run.control.state().physical_slot().map(str::to_owned) else {
        return Ok(None);
    };
    let mut source = run.connect(Side::Source, "clean up").await?;
    let slot = look_at_slot(&mut source, &name).await?;
    source.close().await;
    if slot.is_some_and(|slot| slot.active) {
        let removed = Object::PhysicalSlot { name: name.clone() };
        run.control.record(Entry::Removed(removed)).await?;
        return Ok(Some(format!(
            "left, because the plan has no [relay]: the relay, which streams, and its slot {name} \
             on the source"
        )));
    }
    drop_slot(run).await
}

/// The same without its slot on a source that is gone.
pub(crate) async fn remove_relay(run: &mut Run<'_>) -> Result<Vec<String>, Error> {
    let made = run.plan.relay.as_ref().and_then(|relay| relay.made.clone());
    let Some(made) = made else {
        return Ok(Vec::new());
    };
    let object = receipt(&made);
    if !run.control.state().receipts.contains(&object) {
        return Ok(Vec::new());
    }
    run.step("removing the relay");
    let (owner, folder) = (owner(run), named(&made.data_directory));
    let standby = standing(&made, &made.data_directory).await?;
    if was_promoted(&standby, &owner)? {
        // The migration's slot there is dropped as on a relay of somebody else's.
        release(&made, &owner).await?;
        run.control.record(Entry::Removed(object)).await?;
        return Ok(vec![format!(
            "left as it is, because somebody promoted it: the relay in {folder}"
        )]);
    }
    remove_at(&made, &made.data_directory, &owner).await?;
    // Its slots went with it.
    let on_relay = |object: &&Object| matches!(object, Object::RelaySlot { .. });
    let receipts = run.control.state().receipts.iter();
    for object in receipts.filter(on_relay).cloned().collect::<Vec<_>>() {
        run.control.record(Entry::Removed(object)).await?;
    }
    run.control.record(Entry::Removed(object)).await?;
    Ok(vec![format!("stopped the relay and removed {folder}")])
}

/// Before an `abort` removes a target that we made and that is a standby still: it is stopped,
/// so that its slot can go. One that somebody else promoted is left to them.
pub(crate) async fn stop_target(run: &mut Run<'_>) -> Result<Vec<String>, Error> {
    let made = run.plan.made_standby().map(|(made, _)| made.clone());
    let (Some(made), true) = (made, run.is_over_standby()) else {
        return Ok(Vec::new());
    };
    let (object, owner) = (receipt(&made), owner(run));
    let mut done = Vec::new();
    if run.control.state().receipts.contains(&object) {
        let standby = standing(&made, &made.data_directory).await?;
        if was_promoted(&standby, &owner)? && !run.control.state().spent {
            release(&made, &owner).await?;
            run.control.record(Entry::Removed(object)).await?;
            done.push(format!(
                "left as it is, because somebody promoted it: the server in {}",
                named(&made.data_directory)
            ));
        } else if standby.made(&owner)? == Made::Whole {
            run.step("stopping the standby");
            standby.stop(StopMode::Fast).await?;
        } else {
            // A program of a run that died may still read through the slot.
            standby.remove(&owner).await?;
        }
    }
    done.extend(drop_slot(run).await?);
    Ok(done)
}

/// After a switch that was given up behind the intent to promote a standby of ours: whether it
/// was promoted. A promotion may still be under way, so the server is stopped to see that; one
/// that came about stays stopped, because nobody is to write there, and one that did not goes on.
pub(crate) async fn was_promoted_in_vain(run: &Run<'_>) -> Result<bool, Error> {
    let Some((made, _)) = run.plan.made_standby() else {
        return Err(Error::internal(&"the standby is not ours"));
    };
    let standby = standing(made, &made.data_directory).await?;
    standby.stop(StopMode::Immediate).await?;
    if was_promoted(&standby, &owner(run))? {
        return Ok(true);
    }
    standby.start(COPY_RECOVERS_WITHIN, &run.cancel).await?;
    Ok(false)
}

/// Behind the switch: the promoted target streams from nothing any more, and its slot would
/// only make the source keep its log.
pub(crate) async fn leave_slot(run: &mut Run<'_>) -> Result<Option<String>, Error> {
    if run.plan.relay.is_some() || !run.control.state().phase.is_switched() {
        return Ok(None);
    }
    drop_slot(run).await
}

/// Takes out of a target that we made what made it a standby.
pub(crate) async fn forget(run: &Run<'_>) -> Result<(), Error> {
    let Some((made, _)) = run.plan.made_standby().filter(|_| run.plan.relay.is_none()) else {
        return Ok(());
    };
    let standby = standing(made, &made.data_directory).await?;
    if standby.made(&owner(run))? != Made::Whole {
        return Ok(());
    }
    standby.forget_recovery()?;
    standby.configure(&ITS_OWN.map(Setting::unset))?;
    standby.remove_file("standby.signal")?;
    if standby.is_running().await {
        standby.reload().await?;
    }
    Ok(())
}

/// Drops the physical slot that we made, once nobody streams from it.
async fn drop_slot(run: &mut Run<'_>) -> Result<Option<String>, Error> {
    let Some(name) = run.control.state().physical_slot().map(str::to_owned) else {
        return Ok(None);
    };
    let mut source = run.connect(Side::Source, "clean up").await?;
    until_free(run, &mut source, &name).await?;
    drop_physical(&mut source, &name).await?;
    source.close().await;
    let removed = Object::PhysicalSlot { name: name.clone() };
    run.control.record(Entry::Removed(removed)).await?;
    Ok(Some(format!("dropped the slot {name} on the source")))
}

/// Drops a physical slot, if it is there.
pub(super) async fn drop_physical(source: &mut Session, name: &str) -> Result<(), Error> {
    if look_at_slot(source, name).await?.is_none() {
        return Ok(());
    }
    let sql = "SELECT pg_catalog.pg_drop_replication_slot($1)";
    let dropped = source.query_one(sql, &[&name]).await;
    dropped.on(Side::Source, "dropping the standby's slot")?;
    Ok(())
}
