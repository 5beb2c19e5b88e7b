//! A standby of the source that we make on this machine: the target of this route, or a relay.
//!
//! Needs: a role with REPLICATION, `pg_basebackup` here. Does: a physical slot on the source,
//! the base backup through it, settings, the start; then it waits until the standby streams.
//! Looks: the receipts in the journal and in the folder, and the slot on the source. Undone:
//! [`super::removing`]. The slot stands before the copy is begun, so that no log that the
//! standby needs is ever removed.

use std::path::Path;
use std::time::Instant;

use trunkline_changes::Side;
use trunkline_physical::{BackupSlot, Instance, Made, Setting, carried_settings};
use trunkline_postgres::{Conninfo, OnSide, Session};

use super::look::StandbyLook;
use super::not_a_standby;
use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::limits::{COPY_LOOK, COPY_RECOVERS_WITHIN, SLOT_FREE_WITHIN, STANDBY_STREAMS_WITHIN};
use crate::observer::Notice;
use crate::phases::base_backup::{
    self, Origin, back_up, instance, owner, receipt, refuse_tablespaces, standing,
};
use crate::plan::BaseBackup;
use crate::run::Run;

/// Settings of a standby of ours that are taken out again when it serves.
pub(super) const ITS_OWN: [&str; 2] = ["hot_standby_feedback", "wal_receiver_status_interval"];

/// What the source says of a slot.
pub(super) struct SlotLook {
    pub(super) active: bool,
    whole: bool,
}

/// Sees that the standby of the plan stands and streams; makes it, or what is missing of it.
pub(crate) async fn ensure(run: &mut Run<'_>) -> Result<(), Error> {
    let Some((made, reached)) = run.plan.made_standby() else {
        return Ok(());
    };
    let mut source = run.connect(Side::Source, "standby").await?;
    let standby = instance(made, source.version().major()).await?;
    refuse_tablespaces(
        &mut source,
        "make the standby yourself, with their paths mapped, and take `provider = \"adopt\"`",
    )
    .await?;
    clear_spent(run, made, &standby).await?;
    let slot = make_slot(run, &mut source, made).await?;
    copy(run, &mut source, made, &standby, &slot).await?;
    start(run, &mut source, made, &standby, &slot).await?;
    until_streaming(run, &mut source, reached, &slot).await?;
    source.close().await;
    Ok(())
}

/// Starts the standby of the plan if it was made and does not run, as after a restart of the
/// machine. What keeps it from starting is said by whoever needs it.
pub(crate) async fn wake(run: &Run<'_>) {
    let Some((made, _)) = run.plan.made_standby() else {
        return;
    };
    let state = run.control.state();
    let is_theirs = run.plan.relay.is_none() && !run.control.is_in_file();
    // Clients that are held come first: it may have much to replay.
    if is_theirs
        || state.is_pausing()
        || state.phase.is_final()
        || !state.receipts.contains(&receipt(made))
    {
        return;
    }
    let woken = async {
        let standby = standing(made, &made.data_directory).await?;
        if standby.made(&owner(run))? == Made::Whole
            && (!standby.was_promoted() || state.phase.is_switched())
            && !standby.data().join("backup_label").exists()
            && !standby.is_running().await
        {
            run.step("starting the standby");
            standby.start(COPY_RECOVERS_WITHIN, &run.cancel).await?;
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = woken.await {
        let warning = format!("the standby that was made could not be started: {error}");
        run.observer.notice(Notice::Warning(&warning));
    }
}

/// A standby that our own promotion took from the source's history goes. One that somebody
/// else promoted may serve: it is not touched.
async fn clear_spent(
    run: &mut Run<'_>,
    made: &BaseBackup,
    standby: &Instance,
) -> Result<(), Error> {
    if standby.made(&owner(run))? != Made::Whole || !standby.was_promoted() {
        return Ok(());
    }
    if !run.control.state().spent {
        return Err(not_a_standby());
    }
    run.step("removing the standby that was promoted in vain");
    base_backup::remove_at(made, &made.data_directory, &owner(run)).await
}

/// The slot, which keeps the source's log from before the copy. One whose log is lost is made
/// again, and the copy with it.
async fn make_slot(
    run: &mut Run<'_>,
    source: &mut Session,
    made: &BaseBackup,
) -> Result<String, Error> {
    let name = format!("trunkline_{}_p", run.control.identity().id);
    if run.control.state().physical_slot().is_none() {
        let object = Object::PhysicalSlot { name: name.clone() };
        run.control.record(Entry::Making(object)).await?;
    }
    let doing = "making the standby's slot";
    match look_at_slot(source, &name).await? {
        Some(slot) if slot.whole => return Ok(name),
        Some(_) => {
            base_backup::remove_at(made, &made.data_directory, &owner(run)).await?;
            super::removing::drop_physical(source, &name).await?;
        }
        None => {}
    }
    run.step("physical slot");
    let sql =
        "SELECT slot_name::text FROM pg_catalog.pg_create_physical_replication_slot($1, true)";
    let created = source.query_one(sql, &[&name]).await;
    created.on(Side::Source, doing)?;
    Ok(name)
}

/// Looks at a physical slot of the source.
pub(super) async fn look_at_slot(
    source: &mut Session,
    name: &str,
) -> Result<Option<SlotLook>, Error> {
    let doing = "looking at the standby's slot";
    let sql = include_str!("../sql/standby/slot.sql");
    let row = source.query_opt(sql, &[&name]).await;
    let Some(row) = row.on(Side::Source, doing)? else {
        return Ok(None);
    };
    if !row.get::<bool>(1).on(Side::Source, doing)? {
        return Err(Error::Refused {
            why: format!("the slot {name} of the source is not ours: it is a logical one"),
            hint: "look whose it is, and drop it; then run this again".to_owned(),
        });
    }
    Ok(Some(SlotLook {
        active: row.get(0).on(Side::Source, doing)?,
        whole: row.get(2).on(Side::Source, doing)?,
    }))
}

/// The base backup, if there is none yet. What an earlier run left of one goes first, with the
/// program that may still read through the slot.
async fn copy(
    run: &mut Run<'_>,
    source: &mut Session,
    made: &BaseBackup,
    standby: &Instance,
    slot: &str,
) -> Result<(), Error> {
    let object = receipt(made);
    if !run.control.state().receipts.contains(&object) {
        run.control.record(Entry::Making(object)).await?;
    }
    match standby.made(&owner(run))? {
        Made::Whole => return Ok(()),
        Made::Unfinished => {
            standby.remove(&owner(run)).await?;
        }
        Made::Nothing | Made::Foreign => {}
    }
    until_free(run, source, slot).await?;
    let from = Origin {
        session: source,
        slot: BackupSlot::Named(slot.to_owned()),
        kept_for: slot,
    };
    back_up(run, standby, made, from).await
}

/// Waits until nobody streams from the slot.
pub(super) async fn until_free(
    run: &Run<'_>,
    source: &mut Session,
    slot: &str,
) -> Result<(), Error> {
    let began = Instant::now();
    while look_at_slot(source, slot)
        .await?
        .is_some_and(|slot| slot.active)
    {
        run.stop_if_cancelled()?;
        if began.elapsed() > SLOT_FREE_WITHIN {
            return Err(Error::Refused {
                why: format!("the slot {slot} is in use on the source"),
                hint: "see its active_pid in pg_replication_slots: end what streams from it, then \
                       run this again"
                    .to_owned(),
            });
        }
        tokio::time::sleep(COPY_LOOK).await;
    }
    Ok(())
}

/// Sets the copy up to follow the source, and starts it.
async fn start(
    run: &Run<'_>,
    source: &mut Session,
    made: &BaseBackup,
    standby: &Instance,
    slot: &str,
) -> Result<(), Error> {
    if standby.is_running().await {
        return Ok(());
    }
    run.step("starting the standby");
    let mut settings = carried_settings(source).await?;
    settings.extend([
        Setting::set("port", made.port.to_string()),
        Setting::set("hot_standby_feedback", "on"),
        // What feedback keeps on the source is known there a second later.
        Setting::set("wal_receiver_status_interval", "1s"),
        // It must not write into the source's archive, nor wait for the source's standbys.
        Setting::set("archive_mode", "off"),
        Setting::set("synchronous_standby_names", ""),
    ]);
    standby.configure(&settings)?;
    let original = run.plan.source.with_password_found();
    standby.follow(&original, Some(slot), slot)?;
    standby.start(COPY_RECOVERS_WITHIN, &run.cancel).await?;
    Ok(())
}

/// Waits until the standby is reached as the plan says, and streams from its slot.
async fn until_streaming(
    run: &Run<'_>,
    source: &mut Session,
    reached: &Conninfo,
    slot: &str,
) -> Result<(), Error> {
    run.step("waiting until the standby streams");
    let began = Instant::now();
    loop {
        run.stop_if_cancelled()?;
        run.alive();
        let streams = look_at_slot(source, slot)
            .await?
            .is_some_and(|slot| slot.active);
        let why = match answers(reached).await {
            Ok(true) if streams => return Ok(()),
            Ok(true) => "it does not stream from the source".to_owned(),
            Ok(false) => return Err(not_a_standby()),
            Err(error) => error.to_string(),
        };
        if began.elapsed() > STANDBY_STREAMS_WITHIN {
            return Err(Error::Refused {
                why: format!("the standby that was made is not ready: {why}"),
                hint: "its log in the data folder says why; is it reached as the plan names it, \
                       and may our role replicate from this machine (pg_hba.conf of the source)? \
                       then run this again"
                    .to_owned(),
            });
        }
        tokio::time::sleep(COPY_LOOK).await;
    }
}

/// Whether what answers is a standby.
async fn answers(reached: &Conninfo) -> Result<bool, Error> {
    let connected = Session::connect(reached, "standby").await;
    let mut session = connected.on(Side::Target, "connecting to the standby that was made")?;
    let look = StandbyLook::read(&mut session).await?;
    session.close().await;
    Ok(look.is_standby)
}

/// Whether a copy in a folder follows the source no more.
pub(super) fn was_promoted(standby: &Instance, owner: &str) -> Result<bool, Error> {
    Ok(standby.made(owner)? == Made::Whole && standby.was_promoted())
}

/// How a folder is named in reports.
pub(super) fn named(folder: &Path) -> String {
    folder.display().to_string()
}
