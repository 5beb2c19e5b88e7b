//! `trunkline demo`: two throwaway servers on this machine, a sample shop, clients that
//! never stop writing, every phase to the cutover, and the proof. The servers end with this
//! process, also when it is killed.

mod proof;
mod writers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trunkline_load::Scope;
use trunkline_migration::plan::{
    self, Budget, CopyPlan, CutoverPlan, Existing, Keep, PART_BYTES, Plan, Plugin, Share,
    StructurePlan, ValidationPlan, WayBack,
};
use trunkline_migration::{ConflictPolicy, Error, Extent, Setting, Until};
use trunkline_postgres::{Conninfo, Session};
use trunkline_sandbox::{Installation, Server};
use trunkline_traffic::{CommandHooks, CommandPlan, Scene};

use crate::args::DemoArgs;
use crate::output;
use crate::progress::Progress;
use crate::resolve::plan_error;
use writers::{Route, Writers};

/// Clients of the shop.
const CLIENTS: i64 = 4;

/// How long the clients write after the switch before everything is compared.
const AFTER_THE_SWITCH: Duration = Duration::from_secs(2);

/// Runs the demonstration.
pub(crate) async fn run(args: &DemoArgs, json: bool) -> Result<u8, Error> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let (old, new) = installations()?;
    say(&format!(
        "two servers: PostgreSQL {} and {}, on 127.0.0.1 (seed {seed})",
        old.major, new.major
    ));
    let folder = tempfile::Builder::new().prefix("trunkline-demo-").tempdir();
    let folder = folder.map_err(|error| Error::internal(&error))?;
    let source = start(&old).await?;
    let target = start(&new).await?;
    let servers = [
        conninfo(&source, "postgres")?,
        conninfo(&target, "postgres")?,
    ];
    for server in &servers {
        admin(server, "CREATE DATABASE shop").await?;
    }
    let servers = [conninfo(&source, "shop")?, conninfo(&target, "shop")?];
    say(
        "the shop opens: customers, partitioned orders, out-of-line documents, a table without a key",
    );
    fill_shop(&servers[0], args.size).await?;

    let route = Route::new(folder.path());
    let writers = Writers::start(CLIENTS, &servers, &route, seed);
    say(&format!(
        "{CLIENTS} clients write without pause; the move begins"
    ));
    let plan = plan(&servers, &route, folder.path());
    let progress = Progress::new(json);
    let moved = migrate(&plan, &progress, &writers).await;
    progress.finish();
    let report = moved?;
    say("the clients write on, to the new server");
    tokio::time::sleep(AFTER_THE_SWITCH).await;
    let longest_pause = writers.seen.longest_gap();
    let told = writers.seen.clone();
    let entries = writers.stop().await;
    let proof = proof::prove(&servers, &entries, report, &told, longest_pause).await?;
    finish(&plan, &progress).await?;
    let proved = proof.holds();
    output::print(&proof, json)?;
    if args.keep {
        keep(source, target, folder, &servers);
    }
    Ok(if proved { 0 } else { 6 })
}

fn say(line: &str) {
    eprintln!("-- {line}");
}

/// The oldest and the newest PostgreSQL of this machine: a move is the better for being an
/// upgrade.
fn installations() -> Result<(Installation, Installation), Error> {
    let mut found = trunkline_sandbox::installed();
    found.sort_by_key(|installation| installation.major);
    match (found.first().cloned(), found.pop()) {
        (Some(old), Some(new)) => Ok((old, new)),
        _ => Err(plan_error(
            "no PostgreSQL server is installed on this machine",
            "install it from the distribution's packages: apt-get install postgresql",
        )),
    }
}

async fn start(installation: &Installation) -> Result<Server, Error> {
    let installation = installation.clone();
    let started = tokio::task::spawn_blocking(move || {
        Server::builder(&installation)
            .setting("wal_level", "logical")
            .start()
    });
    match started.await {
        Ok(started) => started.map_err(|error| Error::internal(&error)),
        Err(error) => Err(Error::internal(&error)),
    }
}

fn conninfo(server: &Server, database: &str) -> Result<Conninfo, Error> {
    Conninfo::resolve(&server.conninfo(database)).map_err(|error| Error::internal(&error))
}

async fn admin(server: &Conninfo, sql: &str) -> Result<(), Error> {
    let done = async {
        let mut session = Session::connect(server, "demo").await?;
        session.batch(sql).await?;
        session.close().await;
        Ok(())
    };
    done.await
        .map_err(|error: trunkline_postgres::PgError| Error::internal(&error))
}

async fn fill_shop(source: &Conninfo, thousands: u32) -> Result<(), Error> {
    let orders = u64::from(thousands.max(2)) * 1000;
    let sql = include_str!("demo/shop.sql")
        .replace("{customers}", &(orders / 10).to_string())
        .replace("{orders}", &orders.to_string())
        .replace("{clicks}", &(orders / 2).to_string());
    admin(source, &sql).await
}

fn plan(servers: &[Conninfo; 2], route: &Route, dir: &Path) -> Plan {
    let [hold, switch, release] = route.hooks();
    let hooks = CommandPlan {
        hold: Some(hold),
        switch: Some(switch),
        release: Some(release),
        verify: None,
        timeout: Duration::from_secs(5),
    };
    let [source, target] = servers.clone();
    let scene = Scene {
        migration: "shop".to_owned(),
        source: source.label(),
        target: target.label(),
    };
    Plan {
        name: scene.migration.clone(),
        source,
        target,
        relay: None,
        dir: dir.join("migration"),
        route: plan::Route::Stream,
        transform: trunkline_load::Transform::none(),
        scope: Scope::everything(),
        insert_only: None,
        publication: None,
        decoder: Plugin::Pgoutput,
        structure: StructurePlan::Restore {
            owners: Keep::Yes,
            privileges: Keep::Yes,
            existing: Existing::Refuse,
        },
        seed: trunkline_migration::plan::Seed::Copy,
        copy: CopyPlan {
            jobs: 4,
            index_jobs: 2,
            split_above_bytes: 8 << 30,
        },
        conflict: ConflictPolicy::Stop,
        ddl: None,
        cutover: CutoverPlan {
            max_lag_bytes: 1 << 20,
            max_pause: Duration::from_secs(30),
            recheck: Duration::from_millis(300),
            way_back: WayBack::Open,
            traffic: Arc::new(CommandHooks::new(hooks, scene)),
            maintenance_database: "postgres".to_owned(),
            smoke: Vec::new(),
        },
        downstream: Vec::new(),
        validation: ValidationPlan {
            jobs: 2,
            share: Share::UNLIMITED,
            continuous: true,
            part_bytes: PART_BYTES,
            left_out: None,
            columns_left_out: Vec::new(),
        },
        budget: Budget {
            wal_kept_warn_bytes: u64::MAX,
            wal_kept_stop_bytes: u64::MAX,
        },
    }
}

async fn migrate(
    plan: &Plan,
    progress: &Progress,
    writers: &Writers,
) -> Result<trunkline_migration::report::CutoverReport, Error> {
    let setting = Setting {
        plan,
        observer: progress,
        cancel: crate::interrupt::on_signal(),
    };
    trunkline_migration::run(&setting, Until::Verified).await?;
    writers.seen.measure_anew();
    trunkline_migration::cutover(&setting, Extent::Switch).await
}

async fn finish(plan: &Plan, progress: &Progress) -> Result<(), Error> {
    let setting = Setting {
        plan,
        observer: progress,
        cancel: CancellationToken::new(),
    };
    trunkline_migration::complete(&setting, trunkline_migration::OldDatabase::Restored).await?;
    Ok(())
}

/// Leaves everything running until the process is ended.
fn keep(source: Server, target: Server, folder: tempfile::TempDir, servers: &[Conninfo; 2]) {
    say("kept until you press Ctrl-C:");
    for (name, server) in ["source", "target"].iter().zip(servers) {
        say(&format!("  {name}: psql \"{}\"", server.without_password()));
    }
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    tokio::spawn(async move {
        let _ended = tokio::signal::ctrl_c().await;
        drop(sender);
    });
    // Ends when the sender is dropped.
    let _ended = receiver.recv();
    drop((source, target, folder));
}
