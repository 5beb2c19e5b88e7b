//! Prepared → Structured → Copying → Loaded: structure, rows, indexes; and what can be made
//! only once the rows of all tables are of one moment: foreign keys and the rest.
//!
//! Needs: the slot, so that every change since is kept. Does: what the loader does, each
//! step recorded on the target in the transaction that did it. Looks: the ledger and the
//! structure's records. Undone: [`super::ending`], by the same records.

use std::path::{Path, PathBuf};

use trunkline_changes::Side;
use trunkline_load::{
    Inventory, LoadError, LoadOptions, Loader, Progress, SplitSizes, StructureSource, drop_tables,
    existing_objects,
};
use trunkline_postgres::OnSide;

use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::observer::Notice;
use crate::phase::{Event, Phase};
use crate::phases::renaming;
use crate::phases::watched::{shown, within_budget};
use crate::plan::{Existing, Keep, Plan, RowsBy, StructurePlan};
use crate::relay;
use crate::run::Run;
use crate::subscription;
use crate::waiting;

/// The plan in the loader's words.
pub(crate) fn load_options(plan: &Plan) -> LoadOptions {
    let (structure, no_owner, no_privileges) = match plan.structure {
        StructurePlan::Restore {
            owners, privileges, ..
        } => (
            StructureSource::Source,
            owners == Keep::No,
            privileges == Keep::No,
        ),
        StructurePlan::Present => (StructureSource::Target, false, false),
    };
    LoadOptions {
        scope: plan.scope.clone(),
        transform: plan.transform.clone(),
        structure,
        jobs: plan.copy.jobs,
        index_jobs: plan.copy.index_jobs,
        split: SplitSizes::above(plan.copy.split_above_bytes),
        no_owner,
        no_privileges,
        ..LoadOptions::default()
    }
}

fn loader(run: &Run<'_>) -> Loader {
    loader_into(run, load_options(run.plan).structure)
}

fn loader_into(run: &Run<'_>, structure: StructureSource) -> Loader {
    let options = LoadOptions {
        standby: relay::standby(run.plan, run.control.identity()),
        structure,
        ..load_options(run.plan)
    };
    Loader::new(
        run.plan.read_from(Side::Source).clone(),
        run.plan.target.clone(),
        options,
        Progress::new(),
        run.cancel.clone(),
    )
}

/// Ends dumps of the source that outlived the command that began them, as far as they can be.
pub(crate) async fn end_left_over_dumps(run: &Run<'_>) -> Result<(), Error> {
    let folder = folder(run)?;
    loader(run).end_left_over_dumps(&folder).await;
    Ok(())
}

/// Makes what comes before the rows.
pub(crate) async fn restore(run: &mut Run<'_>) -> Result<(), Error> {
    renaming::note_rules(run).await?;
    run.step("structure");
    let folder = folder(run)?;
    let loader = loader(run);
    let inventory = within_budget(run, loader.inventory(&folder)).await?;
    match run.plan.structure {
        StructurePlan::Present => run.control.record(Entry::StructureAdopted).await?,
        StructurePlan::Restore { existing, .. } => {
            let standing = trunkline_load::standing(run.control.session()?).await?;
            run.control.record(Entry::Standing(standing)).await?;
            let schemas = trunkline_load::schema_settings(run.control.session()?).await?;
            run.control.record(Entry::SchemasBefore(schemas)).await?;
            run.control.record(Entry::Making(Object::Structure)).await?;
            if existing == Existing::Drop {
                let (plan, observer) = (run.plan, run.observer);
                waiting::told(plan, observer, drop_existing(run, &inventory)).await?;
            }
            for left_out in &inventory.structure.left_out {
                if left_out.by_consequence {
                    run.observer.notice(Notice::Warning(&left_out.to_string()));
                }
            }
            within_budget(run, loader.restore_pre_data(&inventory)).await?;
        }
    }
    run.inventory = Some(inventory);
    run.control.moved(Event::StructureRestored).await
}

async fn drop_existing(run: &mut Run<'_>, inventory: &Inventory) -> Result<(), Error> {
    let target = run.control.session()?;
    let existing = existing_objects(target, &inventory.structure).await?;
    let tables: Vec<_> = existing
        .into_iter()
        .filter(|object| object.kind == "TABLE")
        .map(|object| object.name)
        .collect();
    Ok(drop_tables(target, &inventory.structure, &tables).await?)
}

/// Copies rows and builds what stands on them.
pub(crate) async fn copy(run: &mut Run<'_>) -> Result<(), Error> {
    run.refuse_other_transform()?;
    let folder = folder(run)?;
    let mut loader = loader(run);
    let earlier = run.inventory.take();
    let inventory = loader.inventory_after(&folder, earlier);
    let inventory = within_budget(run, inventory).await?;
    if run.control.state().phase == Phase::Structured {
        let total: u64 = inventory
            .tables
            .iter()
            .map(|table| table.estimated_rows)
            .sum();
        run.control
            .session()?
            .execute(
                "UPDATE trunkline.migration SET rows_total = $1::bigint",
                &[&total],
            )
            .await
            .on(Side::Target, "recording the size of the copy")?;
    }
    run.control.moved(Event::CopyBegan).await?;
    if let Some(plan) = run.plan.route.subscription()
        && plan.rows == RowsBy::Subscription
    {
        subscription::syncing::copy(run, &loader, &inventory).await?;
        loader = Loader::new(
            run.plan.source.clone(),
            run.plan.target.clone(),
            LoadOptions {
                rows_elsewhere: subscription::syncing::names(run).await?,
                ..load_options(run.plan)
            },
            Progress::new(),
            run.cancel.clone(),
        );
    }
    run.step("copying rows");
    shown(run, loader.progress(), loader.copy_and_build(&inventory)).await?;
    run.step("statistics");
    shown(run, loader.progress(), loader.finish_tables(&inventory)).await?;
    run.inventory = Some(inventory);
    run.control.moved(Event::CopyFinished).await
}

/// Makes foreign keys, triggers, views and all that is left of the structure. The tables
/// were copied at different moments: a row that refers to another may have come without it.
/// So everything that was committed on the source during the copy must be applied before.
pub(crate) async fn finish_structure(run: &mut Run<'_>) -> Result<(), Error> {
    if run.control.state().renamed.is_some() {
        // Nothing is renamed before all of this is there.
        return Ok(());
    }
    let folder = folder(run)?;
    let loader = loader(run);
    let earlier = run.inventory.take();
    let inventory = loader.inventory_after(&folder, earlier);
    let inventory = within_budget(run, inventory).await?;
    run.step("foreign keys, triggers, views");
    shown(run, loader.progress(), loader.finish_structure(&inventory)).await?;
    for left_out in loader.given_up().await? {
        run.observer.notice(Notice::Warning(&left_out.to_string()));
    }
    let (plan, observer) = (run.plan, run.observer);
    waiting::told(plan, observer, renaming::rename(run)).await
}

/// Fills unlogged tables again that a crash of the target emptied since they were copied. The
/// structure stands by now, and by the names that the plan gives it.
pub(crate) async fn refill_unlogged(run: &mut Run<'_>) -> Result<(), Error> {
    let folder = folder(run)?;
    let loader = loader_into(run, StructureSource::Target);
    let inventory = within_budget(run, loader.inventory(&folder)).await?;
    let refilled = loader.refill_unlogged(&inventory);
    shown(run, loader.progress(), refilled).await
}

/// What a load's error means: also one that was stopped goes on from here.
pub(crate) fn ended_by(run: &Run<'_>, error: LoadError) -> Error {
    match error {
        LoadError::Cancelled => Error::Interrupted(run.control.state().phase),
        error => error.into(),
    }
}

/// The folder for files of this migration alone: what another one of the same name left is
/// never taken for ours. Made where it is missing.
pub(crate) fn folder(run: &Run<'_>) -> Result<PathBuf, Error> {
    let folder = run.plan.dir.join(&run.control.identity().id);
    match std::fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(cause) => Err(Error::File {
            path: folder.display().to_string(),
            cause,
        }),
    }
}

/// Removes that folder: the migration is over.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
            path: folder.display().to_string(),
            cause,
        }),
        _ => Ok(()),
    }
}
