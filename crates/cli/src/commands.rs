//! One function for each command: arguments resolved, the library called, the report
//! printed, the exit code given.

use serde::Serialize;
use trunkline_migration::checks::{self, Finding, Verdict};
use trunkline_migration::plan::WayBack;
use trunkline_migration::report::{CutoverReport, SCHEMA_VERSION};
use trunkline_migration::{
    Error, Extent, OldDatabase, Setting, TargetTables, Until as Reached, abort, check, clone,
    complete, cutover, plan_steps, rollback, run as run_migration, status,
};
use trunkline_notify::Watched;

mod scripts;
mod verifying;

use crate::args::{
    AbortArgs, Cli, Command, CompleteArgs, CutoverArgs, MigrationArgs, RollbackArgs, RunArgs,
    StatusArgs, SwitchArgs, Until,
};
use crate::notify;
use crate::output::{self, Report};
use crate::progress::Progress;
use crate::resolve::{Resolved, resolve};
use crate::{demo, interrupt, reference};

/// How often `status --watch` looks.
const WATCH_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs the command; gives the exit code.
pub(crate) async fn run(cli: Cli) -> Result<u8, Error> {
    let json = cli.json;
    match cli.command {
        Command::Demo(args) => demo::run(&args, json).await,
        Command::Check(args) => run_check(&args, json).await,
        Command::Plan(args) => run_plan(&args, json).await,
        Command::Clone(args) => run_clone(&args, json).await,
        Command::Run(args) => run_run(&args, json).await,
        Command::Status(args) => run_status(&args, json).await,
        Command::Verify(args) => verifying::run(&args, json).await,
        Command::Cutover(args) => run_cutover(&args, json).await,
        Command::Rollback(args) => run_rollback(&args, json).await,
        Command::Complete(args) => run_complete(&args, json).await,
        Command::Abort(args) => run_abort(&args, json).await,
        Command::Sql(args) => scripts::run(&args).await,
        Command::GenerateReference { dir } => reference::write(&dir),
    }
}

/// The preflight's report.
#[derive(Serialize)]
struct CheckReport {
    schema_version: u32,
    #[serde(flatten)]
    verdict: Verdict,
    findings: Vec<Finding>,
}

impl Report for CheckReport {
    fn text(&self) -> String {
        checks::render(&self.findings)
    }
}

impl CheckReport {
    fn new(findings: Vec<Finding>) -> Self {
        CheckReport {
            schema_version: SCHEMA_VERSION,
            verdict: checks::verdict(&findings),
            findings,
        }
    }
}

async fn run_check(args: &MigrationArgs, json: bool) -> Result<u8, Error> {
    let Resolved { plan, .. } = resolve(args)?;
    let progress = Progress::new(json);
    let findings = check(&plan, true, &progress).await;
    progress.finish();
    let report = CheckReport::new(findings?);
    output::print(&report, json)?;
    Ok(match report.verdict {
        Verdict::Blocked { .. } => 3,
        _ => 0,
    })
}

/// What a run would do.
#[derive(Serialize)]
struct PlanReport {
    schema_version: u32,
    steps: Vec<String>,
}

impl Report for PlanReport {
    fn text(&self) -> String {
        let line = |(index, step): (usize, &String)| format!("{:>3}. {step}\n", index + 1);
        self.steps.iter().enumerate().map(line).collect()
    }
}

async fn run_plan(args: &MigrationArgs, json: bool) -> Result<u8, Error> {
    let Resolved { plan, .. } = resolve(args)?;
    let progress = Progress::new(json);
    let steps = plan_steps(&plan, &progress).await;
    progress.finish();
    let report = PlanReport {
        schema_version: SCHEMA_VERSION,
        steps: steps?,
    };
    output::print(&report, json)?;
    Ok(0)
}

async fn run_clone(args: &MigrationArgs, json: bool) -> Result<u8, Error> {
    let resolved = resolve(args)?;
    let watched = notify::watch(&resolved, json)?;
    let report = clone(&setting(&resolved, &watched)).await;
    notify::end(watched, &report).await;
    let report = show_preflight(report, json);
    output::print(&report?, json)?;
    Ok(0)
}

fn setting<'a>(resolved: &'a Resolved, watched: &'a Watched<Progress>) -> Setting<'a> {
    Setting {
        plan: &resolved.plan,
        observer: watched,
        cancel: interrupt::on_signal(),
    }
}

/// A preflight that blocks is shown before the error that it ends with.
fn show_preflight<T>(result: Result<T, Error>, json: bool) -> Result<T, Error> {
    if let Err(Error::Preflight(findings)) = &result
        && !json
    {
        eprint!("{}", checks::render(findings));
    }
    result
}

async fn run_run(args: &RunArgs, json: bool) -> Result<u8, Error> {
    if args.dry_run {
        return run_plan(&args.migration, json).await;
    }
    let resolved = resolve(&args.migration)?;
    let watched = notify::watch(&resolved, json)?;
    let before = resolved.save()?;
    let until = match args.until {
        None => Reached::Forever,
        Some(Until::Loaded) => Reached::Loaded,
        Some(Until::Following) => Reached::Following,
        Some(Until::Verified) => Reached::Verified,
        Some(Until::Switched) => Reached::Switched,
    };
    let report = run_migration(&setting(&resolved, &watched), until).await;
    let has_begun = watched.inner().has_begun();
    notify::end(watched, &report).await;
    if report.is_err() && !has_begun {
        // What was refused is not what later commands mean.
        resolved.unsave(before);
    }
    output::print(&show_preflight(report, json)?, json)?;
    Ok(0)
}

async fn run_status(args: &StatusArgs, json: bool) -> Result<u8, Error> {
    let Resolved { plan, .. } = resolve(&args.migration)?;
    let stop = interrupt::on_signal();
    loop {
        let report = status::status(&plan).await?;
        output::print(&report, json)?;
        if !args.watch || report.phase.is_final() {
            return Ok(0);
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => {}
            () = stop.cancelled() => return Ok(0),
        }
    }
}

async fn run_cutover(args: &CutoverArgs, json: bool) -> Result<u8, Error> {
    let mut resolved = resolve(&args.switch.migration)?;
    resolved.adjust_switch(&args.switch)?;
    if args.no_way_back {
        resolved.plan.cutover.way_back = WayBack::None;
    }
    let watched = notify::watch(&resolved, json)?;
    let report = cutover(&setting(&resolved, &watched), extent(&args.switch)).await;
    notify::end(watched, &report).await;
    show_switch(report, json)
}

async fn run_rollback(args: &RollbackArgs, json: bool) -> Result<u8, Error> {
    let mut resolved = resolve(&args.switch.migration)?;
    resolved.adjust_switch(&args.switch)?;
    let watched = notify::watch(&resolved, json)?;
    let report = rollback(&setting(&resolved, &watched), extent(&args.switch)).await;
    notify::end(watched, &report).await;
    show_switch(report, json)
}

fn extent(args: &SwitchArgs) -> Extent {
    if args.rehearse {
        Extent::Rehearse
    } else {
        Extent::Switch
    }
}

/// A switch that was given up has a report too.
fn show_switch(report: Result<CutoverReport, Error>, json: bool) -> Result<u8, Error> {
    match report {
        Ok(report) => {
            output::print(&report, json)?;
            Ok(0)
        }
        Err(error) => {
            let Error::CutoverAborted { report, .. } = &error else {
                return Err(error);
            };
            output::print(report.as_ref(), json)?;
            eprintln!("error: {error}");
            Ok(error.exit_code())
        }
    }
}

async fn run_complete(args: &CompleteArgs, json: bool) -> Result<u8, Error> {
    let resolved = resolve(&args.migration)?;
    let watched = notify::watch(&resolved, json)?;
    let old = match (args.keep_fence, args.source_is_gone) {
        (_, true) => OldDatabase::Gone,
        (true, false) => OldDatabase::KeptFenced,
        (false, false) => OldDatabase::Restored,
    };
    let report = complete(&setting(&resolved, &watched), old).await;
    notify::end(watched, &report).await;
    output::print(&report?, json)?;
    Ok(0)
}

async fn run_abort(args: &AbortArgs, json: bool) -> Result<u8, Error> {
    let resolved = resolve(&args.migration)?;
    let watched = notify::watch(&resolved, json)?;
    let tables = if args.keep_target {
        TargetTables::Keep
    } else {
        TargetTables::Drop
    };
    let report = abort(&setting(&resolved, &watched), tables).await;
    notify::end(watched, &report).await;
    output::print(&report?, json)?;
    Ok(0)
}
