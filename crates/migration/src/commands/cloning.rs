//! `clone`: a copy at rest, in one go.

use super::outcome::begin_anew;
use super::{Setting, check};
use crate::checks::{self, Verdict};
use crate::control::Claim;
use crate::error::Error;
use crate::phase::{Event, Phase};
use crate::phases::copying;
use crate::phases::cutover::sequences;
use crate::plan::Seed;
use crate::report::{EndReport, SCHEMA_VERSION};
use crate::waiting;

/// Copies a database at rest: no slot, no stream. Run again after an interruption, it goes
/// on; what changed on the source meanwhile is not followed.
pub async fn clone(setting: &Setting<'_>) -> Result<EndReport, Error> {
    let plan = setting.plan;
    if plan.route.replica().is_some() {
        return Err(Error::Plan {
            why: "`clone` makes a copy at rest, and the plan's route is \"replica\"".to_owned(),
            hint: "take `route` out of the plan, or use `trunkline run`".to_owned(),
        });
    }
    if plan.seed != Seed::Copy {
        return Err(Error::Refused {
            why: "`clone` reads tables at rest, and the plan's [seed] names a storage copy"
                .to_owned(),
            hint: "use `trunkline run`, or take `method` out of [seed]".to_owned(),
        });
    }
    if plan.relay.is_some() {
        return Err(Error::Plan {
            why: "`clone` copies the source at rest, and knows no relay".to_owned(),
            hint: "take [relay] out of the plan, or move live with `trunkline run`".to_owned(),
        });
    }
    begin_anew(plan)?;
    let findings = tokio::select! {
        found = check(plan, false, setting.observer) => found?,
        () = setting.cancel.cancelled() => return Err(Error::Stopped),
    };
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
    copying::refill_unlogged(&mut run).await?;
    let carried = sequences::carry_over_at_rest(&mut run);
    let sequences = waiting::told(plan, setting.observer, carried).await?;
    let sequences = sequences.map_err(|differences| {
        Error::Differences(differences.iter().map(ToString::to_string).collect())
    })?;
    let name = run.control.identity().name.clone();
    let folder = copying::folder(&run)?;
    waiting::told(plan, setting.observer, run.control.erase()).await?;
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
