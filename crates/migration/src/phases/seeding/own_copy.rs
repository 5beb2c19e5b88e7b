//! The copy that we make: a base backup, recovered until it is consistent and not further.
//! While it waits there its position is read and journaled; then it becomes a server of its
//! own, behind a private socket until all that came along is gone. Looks: the folder's
//! receipt, the server's own word, the journal. Undone: [`remove`].

use std::path::Path;
use std::time::Instant;

use trunkline_changes::{Lsn, Side};
use trunkline_physical::{
    Account, BackupSlot, ClusterFacts, Instance, Made, PhysicalError, Programs, Setting, StopMode,
    carried_settings, end_recovery, recovery,
};
use trunkline_postgres::{Conninfo, OnSide, Session};

use crate::error::Error;
use crate::journal::Entry;
use crate::limits::{COPY_LOOK, COPY_RECOVERS_WITHIN};
use crate::phases::base_backup::{
    Origin, back_up, instance, owner, receipt, refuse_tablespaces, remove_at,
};
use crate::plan::BaseBackup;
use crate::run::Run;

/// Trusts who can enter the private socket's folder: its owner.
const PRIVATE_HBA: &str = "trunkline_hba.conf";

/// The new server, if `pg_upgrade` makes it from the copy.
async fn upgraded(made: &BaseBackup, major: u32) -> Result<Instance, PhysicalError> {
    let account = Account::of(made.user.as_deref()).await?;
    let programs = Programs::upgrading(major, &made.programs).await?;
    Instance::new(&made.data_directory, account, programs)
}

/// Starts a new server that an earlier run had upgraded already. Gives whether there is one.
pub(super) async fn start_upgraded(run: &Run<'_>, made: &BaseBackup) -> Result<bool, Error> {
    let (Some(major), Some(_)) = (made.upgrade_to, run.control.state().seed) else {
        return Ok(false);
    };
    let new = upgraded(made, major).await?;
    if new.made(&owner(run))? != Made::Whole {
        return Ok(false);
    }
    finish_upgrade(run, made, &new).await?;
    Ok(true)
}

/// Upgrades the copy into the new server's folder and starts that.
pub(super) async fn upgrade(
    run: &Run<'_>,
    made: &BaseBackup,
    major: u32,
    old: &Instance,
    private: &Conninfo,
) -> Result<(), Error> {
    run.step("upgrading the copy (pg_upgrade)");
    let mut source = run.connect(Side::Source, "copy").await?;
    let mut settings = carried_settings(&mut source).await?;
    for name in ["listen_addresses", "unix_socket_directories"] {
        let sql = "SELECT pg_catalog.current_setting($1::text)";
        let doing = "reading settings";
        let row = source
            .query_one(sql, &[&name])
            .await
            .on(Side::Source, doing)?;
        settings.push(Setting::set(
            name,
            row.get::<String>(0).on(Side::Source, doing)?,
        ));
    }
    settings.push(Setting::set("port", made.port.to_string()));
    source.close().await;
    let doing = "connecting to the copy";
    let mut copy = Session::connect(private, "copy")
        .await
        .on(Side::Target, doing)?;
    let facts = ClusterFacts::read(&mut copy).await?;
    copy.close().await;
    let new = upgraded(made, major).await?;
    new.upgrade_from(old, &owner(run), &facts, &settings, &run.cancel)
        .await?;
    finish_upgrade(run, made, &new).await
}

/// The copy is not needed any more; the new server has no statistics of its tables yet.
async fn finish_upgrade(run: &Run<'_>, made: &BaseBackup, new: &Instance) -> Result<(), Error> {
    remove_at(made, &made.copy_directory(), &owner(run)).await?;
    run.step("starting the new server");
    new.start(COPY_RECOVERS_WITHIN, &run.cancel).await?;
    run.step("statistics");
    let mut target = run.connect(Side::Target, "statistics").await?;
    let analyzed = target.batch("ANALYZE").await;
    analyzed.on(Side::Target, "gathering statistics")?;
    target.close().await;
    Ok(())
}

/// Makes the copy and lets it end its recovery. Gives how it is reached by its private socket,
/// and its position.
pub(super) async fn make(
    run: &mut Run<'_>,
    made: &BaseBackup,
) -> Result<(Instance, Conninfo, Lsn), Error> {
    let mut source = run.connect(Side::Source, "copy").await?;
    let major = source.version().major();
    if let Some(newer) = made.upgrade_to
        && newer <= major
    {
        return Err(Error::Refused {
            why: format!("the plan upgrades the copy to {newer}, and the source is {major}"),
            hint: "take `upgrade_to` out of [seed], or name a newer version".to_owned(),
        });
    }
    let instance = instance(made, major).await?;
    refuse_tablespaces(
        &mut source,
        "make the copy yourself, with their paths mapped, and take `provider = \"operator\"`",
    )
    .await?;
    let object = receipt(made);
    if !run.control.state().receipts.contains(&object) {
        run.control.record(Entry::Making(object)).await?;
    }
    let slot = run.leg()?.slot.name.clone();
    let from = Origin {
        session: &mut source,
        slot: BackupSlot::Temporary,
        kept_for: &slot,
    };
    back_up(run, &instance, made, from).await?;
    run.step("recovering the copy until it is consistent");
    let socket = format!(".s.PGSQL.{}", made.port);
    if !instance.private_sockets()?.join(socket).exists() {
        // An earlier run may have opened it already: nobody is to reach it meanwhile.
        instance.stop(StopMode::Fast).await?;
    }
    if !instance.is_running().await {
        let carried = carried_settings(&mut source).await?;
        instance.configure(&carried)?;
        instance.configure(&private_settings(&instance, made.port)?)?;
        if run.control.state().seed.is_none() {
            instance.stop_when_consistent()?;
        }
        instance.start(COPY_RECOVERS_WITHIN, &run.cancel).await?;
    }
    let private = reach(run, &instance, made.port).await?;
    let position = end_of_recovery(run, &private).await?;
    source.close().await;
    Ok((instance, private, position))
}

/// Nobody but us reaches the copy, and nothing of it reaches others: no archive, no
/// subscription, no wait for a synchronous standby.
fn private_settings(instance: &Instance, port: u16) -> Result<Vec<Setting>, Error> {
    let hba = instance.write_file(PRIVATE_HBA, "local all all trust\n")?;
    let sockets = instance.private_sockets()?;
    let text = |path: &Path| path.display().to_string();
    Ok(vec![
        Setting::set("port", port.to_string()),
        Setting::set("listen_addresses", ""),
        Setting::set("unix_socket_directories", text(&sockets)),
        Setting::set("hba_file", text(&hba)),
        Setting::set("archive_mode", "off"),
        Setting::set("synchronous_standby_names", ""),
        Setting::set("max_logical_replication_workers", "0"),
    ])
}

/// How the copy is reached by its private socket, as the superuser who made the cluster.
async fn reach(run: &Run<'_>, instance: &Instance, port: u16) -> Result<Conninfo, Error> {
    let doing = "connecting to the copy";
    let sockets = instance.private_sockets()?.display().to_string();
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let conninfo = |user: &str| {
        let (host, user) = (quoted(&sockets), quoted(user));
        let text = format!("host='{host}' port={port} user='{user}' sslmode=disable");
        let resolved = Conninfo::resolve(&text).map_err(|error| Error::internal(&error));
        resolved.map(|conninfo| conninfo.with_database(run.plan.source.database()))
    };
    let known = conninfo(run.plan.source.user())?;
    let mut session = Session::connect(&known, "copy")
        .await
        .on(Side::Target, doing)?;
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles WHERE oid = 10";
    let row = session.query_one(sql, &[]).await.on(Side::Target, doing)?;
    let name: String = row.get(0).on(Side::Target, doing)?;
    session.close().await;
    conninfo(&name)
}

/// Waits for the end of recovery. The position is journaled while the copy waits at it, and
/// only then it goes on: afterwards nobody could tell it any more.
async fn end_of_recovery(run: &mut Run<'_>, private: &Conninfo) -> Result<Lsn, Error> {
    let doing = "connecting to the copy";
    let mut copy = Session::connect(private, "copy")
        .await
        .on(Side::Target, doing)?;
    let limit = Instant::now() + COPY_RECOVERS_WITHIN;
    let mut told = false;
    loop {
        let now = recovery(&mut copy).await?;
        if !now.inside {
            break;
        }
        if now.paused && !told {
            // An interrupted recovery may end elsewhere: the journal says where it ended.
            if run.control.state().seed != Some(now.position) {
                let position = now.position;
                run.control.record(Entry::SeedFound { position }).await?;
            }
            end_recovery(&mut copy).await?;
            told = true;
        }
        if Instant::now() > limit {
            return Err(Error::Refused {
                why: format!("the copy did not end its recovery within {COPY_RECOVERS_WITHIN:?}"),
                hint: "look at its log; `trunkline run` goes on".to_owned(),
            });
        }
        run.stop_if_cancelled()?;
        run.alive();
        tokio::time::sleep(COPY_LOOK).await;
    }
    copy.close().await;
    run.control.state().seed.ok_or_else(|| Error::Refused {
        why: "the copy ended its recovery before its position was read".to_owned(),
        hint: "`trunkline abort` removes it; then begin anew".to_owned(),
    })
}

/// Opens the copy to its clients, as the plan's target names it.
pub(super) async fn open(run: &Run<'_>, instance: &Instance) -> Result<(), Error> {
    run.step("starting the new server");
    instance.stop(StopMode::Fast).await?;
    instance.forget_recovery()?;
    instance.configure(&[
        Setting::unset("listen_addresses"),
        Setting::unset("unix_socket_directories"),
        Setting::unset("hba_file"),
        Setting::unset("max_logical_replication_workers"),
    ])?;
    instance.remove_file(PRIVATE_HBA)?;
    instance.start(COPY_RECOVERS_WITHIN, &run.cancel).await?;
    Ok(())
}

/// Stops the copy, and what was upgraded from it, and removes both, if their receipts are ours.
pub(crate) async fn remove(made: &BaseBackup, owner: &str) -> Result<(), Error> {
    remove_at(made, &made.copy_directory(), owner).await?;
    remove_at(made, &made.data_directory, owner).await
}
