//! → Completed, → Aborted: everything of ours is removed, by receipts.
//!
//! Needs: the migration's lock and both servers. Does: on both sides slots, publications and
//! fences; on the target, for an abort, the structure that we restored; last the control
//! schema with the journal itself. Looks: the receipts that are left, so
//! that it can be run again until nothing is.

use std::path::Path;

use trunkline_changes::Side;
use trunkline_load::{Loader, restore_schema_settings};

use crate::control::{Control, file};
use crate::error::Error;
use crate::fence;
use crate::journal::{Entry, Object};
use crate::phase::{Event, Phase};
use crate::phases::cutover::consumers;
use crate::phases::seeding::own_copy;
use crate::phases::{base_backup, copying, cutover, prepare, renaming, way_back};
use crate::plan::{BaseBackup, Plan};
use crate::report::{EndReport, SCHEMA_VERSION};
use crate::run::Run;
use crate::standby::removing;
use crate::status::{OUTCOME_FILE, next_steps, outcome};
use crate::subscription;

/// What becomes of the tables on the target when a migration is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetTables {
    /// Those that we made are dropped.
    Drop,
    /// They stay.
    Keep,
}

/// What becomes of the old database when the migration is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldDatabase {
    /// Its settings are what they were before: it takes writes again.
    Restored,
    /// It goes on refusing writes.
    KeptFenced,
    /// It is not there any more, and nothing of ours can be removed from it.
    Gone,
}

/// Gives the migration up: the source as it was, nothing of ours on either side.
pub(crate) async fn abort(mut run: Run<'_>, tables: TargetTables) -> Result<EndReport, Error> {
    if run.control.state().phase == Phase::Aborted {
        // One that died between its last entry and the journal's end.
        return end(run, Phase::Aborted, Vec::new()).await;
    }
    if run.control.state().phase.is_switched() {
        return Err(Error::Refused {
            why: "clients were switched to the target: there is nothing to abort".to_owned(),
            hint: "`trunkline rollback` moves them back, `trunkline complete` ends the migration"
                .to_owned(),
        });
    }
    if tables == TargetTables::Keep && run.is_over_standby() && our_copy(&run).is_some() {
        return Err(Error::Refused {
            why: "the target is a standby that we made: without its slot it cannot stay one"
                .to_owned(),
            hint: "leave --keep-target out: the standby goes, and can be made again".to_owned(),
        });
    }
    // While a relay that one may be at work on is there.
    copying::end_left_over_dumps(&run).await?;
    settle(&mut run).await?;
    let mut done = clean_up(&mut run).await?;
    done.extend(removing::stop_target(&mut run).await?);
    consumers::drop_made(&mut run).await?;
    // After a rollback the target has been closed to everybody else.
    done.extend(unfence(&mut run, Side::Target).await?);
    let restored = run.control.state().receipts.contains(&Object::Structure);
    let loader = Loader::new(
        run.plan.source.clone(),
        run.plan.target.clone(),
        copying::load_options(run.plan),
        trunkline_load::Progress::new(),
        run.cancel.clone(),
    );
    if tables == TargetTables::Keep && restored {
        loader.give_storage_back().await?;
    }
    if tables == TargetTables::Drop && restored {
        run.step("dropping what was restored");
        renaming::rename_back(&mut run).await?;
        let folder = copying::folder(&run)?;
        let keep = run.control.state().standing.clone().unwrap_or_default();
        let dropped = loader.undo_structure(&folder, &keep).await?;
        if let Some(schemas) = run.control.state().schemas_before.clone() {
            restore_schema_settings(run.control.session()?, &schemas).await?;
        }
        done.push(format!("dropped {dropped} objects on the target"));
        run.control
            .record(Entry::Removed(Object::Structure))
            .await?;
    }
    if tables == TargetTables::Drop
        && let Some(made) = our_copy(&run)
    {
        return without_its_copy(run, &made, done).await;
    }
    run.control.moved(Event::GivenUp).await?;
    end(run, Phase::Aborted, done).await
}

/// The copy that we made, if the target is one.
fn our_copy(run: &Run<'_>) -> Option<BaseBackup> {
    let made = run.plan.made_target()?;
    let object = base_backup::receipt(made);
    let receipts = &run.control.state().receipts;
    receipts.contains(&object).then(|| made.clone())
}

/// Removes the target that we made, and a journal on it with it. The outcome is written
/// before, and the journal's file goes after: see [`finish_removal`].
async fn without_its_copy(
    mut run: Run<'_>,
    made: &BaseBackup,
    mut done: Vec<String>,
) -> Result<EndReport, Error> {
    run.step("removing the copy");
    run.control.moved(Event::GivenUp).await?;
    let folder = copying::folder(&run)?;
    let identity = run.control.identity().clone();
    let Run { plan, control, .. } = run;
    write_outcome(plan, Phase::Aborted)?;
    control.close().await;
    own_copy::remove(made, &identity.object_name(1)).await?;
    file::remove(&plan.dir)?;
    copying::remove_folder(&folder)?;
    let data = made.data_directory.display();
    done.push(format!("stopped the copy and removed {data}"));
    Ok(EndReport {
        schema_version: SCHEMA_VERSION,
        migration: identity.name,
        phase: Phase::Aborted,
        done,
        next_steps: next_steps(Phase::Aborted, false),
    })
}

/// Ends the removal of a copy that a process began and did not live to end. Gives whether
/// there was one.
pub(crate) async fn finish_removal(plan: &Plan) -> Result<bool, Error> {
    let Some(made) = plan.made_target() else {
        return Ok(false);
    };
    if outcome(plan) != Some(Phase::Aborted) {
        return Ok(false);
    }
    let Some(identity) = file::identity_in(&plan.dir)? else {
        return Ok(false);
    };
    own_copy::remove(made, &identity.object_name(1)).await?;
    file::remove(&plan.dir)?;
    copying::remove_folder(&plan.dir.join(&identity.id))?;
    Ok(true)
}

/// The report of an `abort` that had only that to do.
pub(crate) fn removal_finished(plan: &Plan) -> EndReport {
    EndReport {
        schema_version: SCHEMA_VERSION,
        migration: plan.name.clone(),
        phase: Phase::Aborted,
        done: vec!["removed the copy that an earlier abort left".to_owned()],
        next_steps: next_steps(Phase::Aborted, false),
    }
}

/// Ends the migration after the switch.
pub(crate) async fn complete(mut run: Run<'_>, old: OldDatabase) -> Result<EndReport, Error> {
    if run.control.state().phase == Phase::Completed {
        // One that died between its last entry and the journal's end.
        return end(run, Phase::Completed, Vec::new()).await;
    }
    if old == OldDatabase::Gone {
        // A rollback may have died with the source: the target serves.
        run.control.stay_home().await?;
        if run.control.state().is_pausing() {
            cutover::give_back_alone(&mut run).await?;
        }
    } else {
        settle(&mut run).await?;
    }
    if run.control.state().phase != Phase::Switched {
        return Err(Error::Refused {
            why: format!(
                "the migration is {}, not switched",
                run.control.state().phase.name()
            ),
            hint: "`trunkline cutover` first, or `trunkline abort` to give it up".to_owned(),
        });
    }
    if old == OldDatabase::Gone {
        run.control.move_in().await?;
        return complete_alone(run).await;
    }
    let before = run.control.state().fence(Side::Source).cloned();
    if let Some(before) = &before {
        let mut outside = cutover::outside(&run, Side::Source).await?;
        fence::let_ourselves_in(&mut outside, Side::Source, before).await?;
        outside.close().await;
    }
    let mut done = clean_up(&mut run).await?;
    removing::forget(&run).await?;
    if old == OldDatabase::Restored {
        done.extend(unfence(&mut run, Side::Source).await?);
    } else if let Some(before) = &before {
        let mut outside = cutover::outside(&run, Side::Source).await?;
        fence::retire(&mut outside, Side::Source, before).await?;
        outside.close().await;
        done.push("the old database still refuses writes".to_owned());
    }
    run.control.moved(Event::CleanedUp).await?;
    end(run, Phase::Completed, done).await
}

/// Ends the migration without a word to the source; says what is left there if it should
/// come back.
async fn complete_alone(mut run: Run<'_>) -> Result<EndReport, Error> {
    if !run.control.state().clients_released {
        cutover::move_clients(&mut run).await?;
    }
    run.step("cleaning up");
    let mut done = removing::remove_relay(&mut run).await?;
    removing::forget(&run).await?;
    done.extend(prepare::undo(&mut run, Side::Target).await?);
    done.extend(subscription::remove_alone(&mut run).await?);
    let left = run.control.state().receipts.iter().filter_map(|object| {
        let what = match object {
            Object::Slot { side, name } if *side == Side::Source => format!("the slot {name}"),
            Object::PhysicalSlot { name } => format!("the slot {name}"),
            Object::RelaySlot { name } => format!("the slot {name}, on the relay"),
            Object::Publication { side, name } if *side == Side::Source => {
                format!("the publication {name}")
            }
            Object::DdlLog { side, name } if *side == Side::Source => {
                format!("the event triggers {name}_ddl and {name}_drop")
            }
            Object::SourceRecords => "the schema trunkline".to_owned(),
            _ => return None,
        };
        Some(format!(
            "left on the source, if it should come back: {what}"
        ))
    });
    done.extend(left);
    if run.control.state().fence(Side::Source).is_some() {
        done.push("left on the source, if it should come back: its fence".to_owned());
    }
    run.control.moved(Event::CleanedUp).await?;
    end(run, Phase::Completed, done).await
}

/// Ends what a command that died had begun: a pause, or the rest of a switch.
async fn settle(run: &mut Run<'_>) -> Result<(), Error> {
    cutover::take_back_interrupted(run).await?;
    cutover::finish(run).await
}

/// Removes every slot and publication of ours, and what we kept on the source.
async fn clean_up(run: &mut Run<'_>) -> Result<Vec<String>, Error> {
    run.step("cleaning up");
    let mut done = removing::take_relay_away(run).await?;
    done.extend(prepare::undo(run, Side::Source).await?);
    done.extend(prepare::undo(run, Side::Target).await?);
    done.extend(way_back::remove_records(run).await?);
    Ok(done)
}

/// Gives a side the settings back that it had before it was fenced.
async fn unfence(run: &mut Run<'_>, side: Side) -> Result<Option<String>, Error> {
    let Some(before) = run.control.state().fence(side).cloned() else {
        return Ok(None);
    };
    let mut outside = cutover::outside(run, side).await?;
    fence::lift(&mut outside, side, &before).await?;
    outside.close().await;
    run.control.record(Entry::Unfenced(side)).await?;
    Ok(Some(format!(
        "the {side}'s settings are what they were before the fence"
    )))
}

async fn end(run: Run<'_>, phase: Phase, mut done: Vec<String>) -> Result<EndReport, Error> {
    if let Some(made) = our_copy(&run) {
        base_backup::release(&made, &run.control.identity().object_name(1)).await?;
    }
    let folder = copying::folder(&run)?;
    let Run { plan, control, .. } = run;
    let over_standby = plan.route.replica().is_some() && control.is_in_file();
    let migration = control.identity().name.clone();
    forget(plan, control, &folder, phase).await?;
    done.push(if over_standby {
        "the standby is left as it is".to_owned()
    } else {
        "dropped the schema trunkline on the target".to_owned()
    });
    Ok(EndReport {
        schema_version: SCHEMA_VERSION,
        migration,
        phase,
        done,
        next_steps: next_steps(phase, false),
    })
}

fn write_outcome(plan: &Plan, phase: Phase) -> Result<(), Error> {
    let path = plan.dir.join(OUTCOME_FILE);
    std::fs::write(&path, phase.name()).map_err(|cause| Error::File {
        path: path.display().to_string(),
        cause,
    })
}

/// Removes the journal, after the migration's end is written down on this machine.
async fn forget(plan: &Plan, control: Control, folder: &Path, phase: Phase) -> Result<(), Error> {
    write_outcome(plan, phase)?;
    control.erase().await?;
    file::remove(&plan.dir)?;
    copying::remove_folder(folder)
}
