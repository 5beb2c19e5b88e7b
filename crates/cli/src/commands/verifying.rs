//! `verify`: both sides of a migration, or any two databases as they are.

use std::time::Duration;

use trunkline_migration::alone::{AloneRequest, Parts, verify_alone, without_migration};
use trunkline_migration::{Chosen, Condition, Error, Sample, verify};

use crate::args::VerifyArgs;
use crate::notify;
use crate::output;
use crate::resolve::{Resolved, duration, plan_error, resolve};

/// How long rows that differ are looked at again, where nothing else is said.
const SETTLE: Duration = Duration::from_secs(5);

/// Compares; differences are exit code 6.
pub(super) async fn run(args: &VerifyArgs, json: bool) -> Result<u8, Error> {
    let resolved = resolve(&args.migration)?;
    let chosen = chosen(args)?;
    let settle = duration("settle", args.settle.as_deref(), SETTLE)?;
    let why = if args.alone {
        Some("--alone was given".to_owned())
    } else {
        without_migration(&resolved.plan).await?
    };
    match why {
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
        None => compare_migration(&resolved, &chosen, json).await,
    }
}

fn chosen(args: &VerifyArgs) -> Result<Chosen, Error> {
    let condition = args.condition.as_deref().map(Condition::parse);
    let sample = args.sample.as_deref().map(Sample::parse);
    let mut chosen = Chosen::of_tables(&args.table)?;
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

async fn compare_migration(resolved: &Resolved, chosen: &Chosen, json: bool) -> Result<u8, Error> {
    let watched = notify::watch(resolved, json)?;
    let report = verify(&super::setting(resolved, &watched), chosen).await;
    notify::end(watched, &report).await;
    let report = report?;
    output::print(&report, json)?;
    Ok(if report.equal { 0 } else { 6 })
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
