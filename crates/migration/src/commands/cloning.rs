//! `clone`: a copy at rest, in one go.

use trunkline_changes::Side;
use trunkline_load::{read_sequences, set_sequences};
use trunkline_postgres::{OnSide, Session};

use super::running::begin_anew;
use super::{Setting, check};
use crate::checks::{self, Verdict};
use crate::control::Claim;
use crate::error::Error;
use crate::phase::{Event, Phase};
use crate::phases::copying;
use crate::report::{EndReport, SCHEMA_VERSION};
use crate::run::Run;

/// Copies a database at rest: no slot, no stream. Run again after an interruption, it goes
/// on; what changed on the source meanwhile is not followed.
pub async fn clone(setting: &Setting<'_>) -> Result<EndReport, Error> {
    let plan = setting.plan;
    if plan.relay.is_some() {
        return Err(Error::Plan {
            why: "`clone` copies the source at rest, and knows no relay".to_owned(),
            hint: "take [relay] out of the plan, or move live with `trunkline run`".to_owned(),
        });
    }
    begin_anew(plan)?;
    let findings = check(plan, false).await?;
    if let Verdict::Blocked { .. } = checks::verdict(&findings) {
        return Err(Error::Preflight(findings));
    }
    let mut run = setting.open(Claim::Now, true).await?;
    if run.control.state().leg.is_some() {
        return Err(Error::Refused {
            why: "this is a live move that was begun with `trunkline run`".to_owned(),
            hint: "go on with `trunkline run`, or `trunkline abort` it first".to_owned(),
        });
    }
    for event in [Event::CheckPassed, Event::SourcePrepared] {
        if matches!(run.control.state().phase, Phase::Planned | Phase::Checked) {
            run.control.moved(event).await?;
        }
    }
    if run.control.state().phase == Phase::Prepared {
        copying::restore(&mut run).await?;
    }
    if matches!(
        run.control.state().phase,
        Phase::Structured | Phase::Copying
    ) {
        copying::copy(&mut run).await?;
    }
    copying::finish_structure(&mut run).await?;
    let sequences = clone_sequences(&mut run).await?;
    let name = run.control.identity().name.clone();
    let folder = copying::folder(&run)?;
    run.control.erase().await?;
    copying::remove_folder(&folder)?;
    Ok(EndReport {
        schema_version: SCHEMA_VERSION,
        migration: name,
        phase: Phase::Completed,
        done: vec![
            "structure, rows, indexes and constraints are on the target".to_owned(),
            format!("{sequences} sequences set and read back"),
        ],
        next_steps: Vec::new(),
    })
}

async fn clone_sequences(run: &mut Run<'_>) -> Result<usize, Error> {
    let doing = "connecting to read the sequences";
    let mut source = Session::connect(&run.plan.source, "clone")
        .await
        .on(Side::Source, doing)?;
    let scope = &run.plan.scope;
    let wanted = read_sequences(&mut source, Side::Source, scope).await?;
    source.close().await;
    let target = run.control.session()?;
    set_sequences(target, Side::Target, &wanted).await?;
    let found = read_sequences(target, Side::Target, scope).await?;
    let differences = trunkline_load::compare_sequences(&wanted, &found);
    if differences.is_empty() {
        return Ok(wanted.len());
    }
    let names: Vec<String> = differences.iter().map(ToString::to_string).collect();
    Err(Error::Differences(names))
}
