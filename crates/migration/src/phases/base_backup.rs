//! A base backup of the source on this machine: made, removed, and left to the operator. What
//! a copy that is seeded from and a standby that we make have in common.

use std::path::Path;
use std::time::Instant;

use trunkline_changes::Side;
use trunkline_physical::{
    Account, Backup, BackupSlot, Instance, PhysicalError, Programs, Progress, backup_program,
    tablespaces,
};
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;
use crate::journal::Object;
use crate::limits::{BUDGET_LOOK, COPY_SAY_EVERY};
use crate::plan::BaseBackup;
use crate::run::Run;
use crate::way::Way;

/// What the receipt in the folder says.
pub(crate) fn owner(run: &Run<'_>) -> String {
    run.control.identity().object_name(1)
}

/// The copy, with the programs of the source's version. What is not on this machine is found
/// out here, before anything is made.
pub(crate) async fn instance(made: &BaseBackup, major: u32) -> Result<Instance, PhysicalError> {
    let account = Account::of(made.user.as_deref()).await?;
    backup_program(major, &made.programs).await?;
    let programs = match made.upgrade_to {
        None => Programs::server(major, &made.programs).await?,
        Some(newer) => {
            Programs::upgrading(newer, &made.programs).await?;
            Programs::upgraded(major, &made.programs).await?
        }
    };
    Instance::new(&made.copy_directory(), account, programs)
}

/// A base backup writes an administrator's tablespaces to the paths that they have on the
/// source.
pub(crate) async fn refuse_tablespaces(source: &mut Session, hint: &str) -> Result<(), Error> {
    let spaces = tablespaces(source).await?;
    if spaces.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        why: format!(
            "the source has tablespaces ({}), and a base backup would write them to the same \
             paths",
            spaces.join(", ")
        ),
        hint: hint.to_owned(),
    })
}

/// The copy's receipt in the journal.
pub(crate) fn receipt(made: &BaseBackup) -> Object {
    Object::Copy {
        data_directory: made.data_directory.clone(),
    }
}

/// Where a base backup comes from.
pub(crate) struct Origin<'a> {
    /// A session on the source, for looks at the log that it keeps.
    pub(crate) session: &'a mut Session,
    /// What keeps the log that the copy needs.
    pub(crate) slot: BackupSlot,
    /// The slot whose log is held against the plan's budget.
    pub(crate) kept_for: &'a str,
}

/// The base backup, with the source's budget kept.
pub(crate) async fn back_up(
    run: &mut Run<'_>,
    instance: &Instance,
    made: &BaseBackup,
    from: Origin<'_>,
) -> Result<(), Error> {
    run.step("copying the server (pg_basebackup)");
    let (owner, conninfo) = (owner(run), run.plan.source.clone());
    let backup = Backup {
        source: &conninfo,
        slot: from.slot,
        programs: &made.programs,
    };
    let cancel = run.cancel.child_token();
    let observer = run.observer;
    let mut said = Instant::now();
    let mut show = |progress: Progress| {
        if said.elapsed() >= COPY_SAY_EVERY {
            said = Instant::now();
            let mb = |bytes: u64| bytes >> 20;
            let (done, total) = (mb(progress.done_bytes), mb(progress.total_bytes));
            let text = format!("copying the server: {done} of about {total} MB");
            observer.notice(crate::observer::Notice::Step(&text));
        }
    };
    let copying = instance.base_backup(&owner, &backup, &mut show, &cancel);
    let mut copying = std::pin::pin!(copying);
    loop {
        tokio::select! {
            ended = &mut copying => return Ok(ended?),
            () = tokio::time::sleep(BUDGET_LOOK) => {}
        }
        run.alive();
        if let Err(error) = look_at_kept(run, from.session, from.kept_for).await {
            cancel.cancel();
            // The program is ended before its folder is left.
            let _cancelled = copying.await;
            return Err(error);
        }
    }
}

/// Holds the log that the source keeps for a slot against the plan's budget.
async fn look_at_kept(run: &mut Run<'_>, source: &mut Session, slot: &str) -> Result<(), Error> {
    let doing = "reading the log's position";
    let row = source
        .query_one(include_str!("../sql/status_source.sql"), &[&slot])
        .await
        .on(Side::Source, doing)?;
    let kept: Option<u64> = row.get(1).on(Side::Source, doing)?;
    run.log_budget.keep(Way::There, kept.unwrap_or(0))
}

/// A copy that stands, with the programs of its own version; any, where nothing was written yet
/// that one would be needed for.
pub(crate) async fn standing(made: &BaseBackup, data: &Path) -> Result<Instance, PhysicalError> {
    let version = std::fs::read_to_string(data.join("PG_VERSION"));
    let major = version.ok().and_then(|text| text.trim().parse().ok());
    let account = Account::of(made.user.as_deref()).await?;
    let programs = match major {
        Some(major) => Programs::server(major, &made.programs).await?,
        None => Programs::any(&made.programs).await?,
    };
    Instance::new(data, account, programs)
}

/// Stops what runs there and removes it, if its receipt is ours.
pub(crate) async fn remove_at(made: &BaseBackup, data: &Path, owner: &str) -> Result<(), Error> {
    standing(made, data).await?.remove(owner).await?;
    Ok(())
}

/// From now on the copy is the operator's alone.
pub(crate) async fn release(made: &BaseBackup, owner: &str) -> Result<(), Error> {
    let account = Account::of(made.user.as_deref()).await?;
    let programs = Programs::any(&made.programs).await?;
    Ok(Instance::new(&made.data_directory, account, programs)?.release(owner)?)
}

impl From<PhysicalError> for Error {
    fn from(error: PhysicalError) -> Self {
        match error {
            PhysicalError::Cancelled => Error::Stopped,
            error => Error::Refused {
                hint: error.hint(),
                why: error.to_string(),
            },
        }
    }
}
