//! `verify`: both sides of a migration, or any two databases as they are.

use std::path::Path;
use std::time::Duration;

use trunkline_migration::alone::{AloneRequest, Parts, verify_alone, without_migration};
use trunkline_migration::report::VerifyReport;
use trunkline_migration::{Chosen, Condition, Error, Mending, Sample, verify};

use crate::args::VerifyArgs;
use crate::notify;
use crate::output;
use crate::resolve::{Resolved, duration, plan_error, resolve};

/// How long rows that differ are looked at again, where nothing else is said.
const SETTLE: Duration = Duration::from_secs(5);

/// Compares; differences are exit code 6.
pub(super) async fn run(args: &VerifyArgs, json: bool) -> Result<u8, Error> {
    let resolved = resolve(&args.migration)?;
    let chosen = rows(args, Chosen::of_tables(&args.table, &[])?)?;
    let settle = duration("settle", args.settle.as_deref(), SETTLE)?;
    let why = if args.alone {
        Some("--alone was given".to_owned())
    } else {
        without_migration(&resolved.plan).await?
    };
    match why {
        Some(why) if args.repair || args.repair_sql.is_some() => Err(plan_error(
            format!("only a migration's target can be mended, and {why}"),
            "leave --repair and --repair-sql out: the two databases are then compared as they are",
        )),
        Some(why) => {
            eprintln!("comparing the two databases as they are: {why}");
            let parts = parts(args);
            let request = AloneRequest {
                chosen,
                parts,
                settle,
            };
            compare_alone(&resolved, &request, json).await
        }
        None if args.no_data || args.settle.is_some() => Err(plan_error(
            "--no-data and --settle are for two databases without a migration",
            "leave them out, or add --alone",
        )),
        None => {
            let (resolved, chosen) = within_migration(args, resolved, chosen)?;
            compare_migration(&resolved, args, &chosen, json).await
        }
    }
}

/// In a migration `--include` and `--exclude` choose among its tables; they do not change
/// which ones it moves.
fn within_migration(
    args: &VerifyArgs,
    resolved: Resolved,
    chosen: Chosen,
) -> Result<(Resolved, Chosen), Error> {
    let (include, exclude) = (&args.migration.include, &args.migration.exclude);
    if include.is_empty() && exclude.is_empty() {
        return Ok((resolved, chosen));
    }
    if !(include.is_empty() || args.table.is_empty()) {
        return Err(plan_error(
            "--table and --include both choose tables",
            "give one of them",
        ));
    }
    let mut migration = args.migration.clone();
    migration.include.clear();
    migration.exclude.clear();
    let wanted = [args.table.as_slice(), include.as_slice()].concat();
    let chosen = rows(args, Chosen::of_tables(&wanted, exclude)?)?;
    Ok((resolve(&migration)?, chosen))
}

/// The rows that were chosen.
fn rows(args: &VerifyArgs, mut chosen: Chosen) -> Result<Chosen, Error> {
    let condition = args.condition.as_deref().map(Condition::parse);
    let sample = args.sample.as_deref().map(Sample::parse);
    chosen.condition = condition.transpose()?;
    chosen.sample = sample.transpose()?;
    Ok(chosen)
}

fn parts(args: &VerifyArgs) -> Parts {
    match (args.no_schema, args.no_data) {
        (true, _) => Parts::Contents,
        (_, true) => Parts::Structure,
        _ => Parts::All,
    }
}

async fn compare_migration(
    resolved: &Resolved,
    args: &VerifyArgs,
    chosen: &Chosen,
    json: bool,
) -> Result<u8, Error> {
    let watched = notify::watch(resolved, json)?;
    let mut script = match &args.repair_sql {
        Some(path) => Some(script_file(path)?),
        None => None,
    };
    let mending = match &mut script {
        Some(file) => Mending::Script(file),
        None if args.repair => Mending::Apply,
        None => Mending::None,
    };
    let report = verify(&super::setting(resolved, &watched), chosen, mending).await;
    notify::end(watched, &report).await;
    if let (Some(path), false) = (&args.repair_sql, is_scripted(&report)) {
        // Nothing was written into it.
        let _left = std::fs::remove_file(path);
    }
    let report = report?;
    output::print(&report, json)?;
    Ok(if report.equal { 0 } else { 6 })
}

fn is_scripted(report: &Result<VerifyReport, Error>) -> bool {
    report
        .as_ref()
        .is_ok_and(|report| report.scripted.is_some())
}

/// A file that is not there yet: a script that somebody has read is never written over.
fn script_file(path: &Path) -> Result<std::fs::File, Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    // It holds what rows hold.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|cause| {
        let path = path.display().to_string();
        if cause.kind() == std::io::ErrorKind::AlreadyExists {
            return Error::Plan {
                why: format!("{path} exists, and a script is never written over"),
                hint: "name another file for --repair-sql, or remove this one".to_owned(),
            };
        }
        Error::File { path, cause }
    })
}

async fn compare_alone(
    resolved: &Resolved,
    request: &AloneRequest,
    json: bool,
) -> Result<u8, Error> {
    let watched = notify::watch(resolved, json)?;
    let report = verify_alone(&super::setting(resolved, &watched), request).await;
    notify::end(watched, &report).await;
    let report = report?;
    output::print(&report, json)?;
    Ok(report.exit_code())
}
