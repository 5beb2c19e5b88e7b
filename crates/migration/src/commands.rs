//! What each command does with the phases: the door through which the binary comes in.

use tokio_util::sync::CancellationToken;
use trunkline_changes::{Side, TableName};
use trunkline_load::{LoadError, Scope, read_sequences, set_sequences};
use trunkline_postgres::{Backoff, OnSide, Session};

use crate::checks::{self, CheckInput, Finding, PgDump, Verdict};
use crate::control::{self, Claim, Control};
use crate::error::Error;
use crate::follow::{Follow, Goal, Reached};
use crate::journal::Object;
use crate::limits::{HAND_OVER_WITHIN, RECONNECT_FIRST, RECONNECT_FOR, RECONNECT_PAUSE};
use crate::observer::{Notice, Observer};
use crate::phase::{Event, Phase};
use crate::phases::ending::{SourceFence, TargetTables};
use crate::phases::verifying::{self, Selection};
use crate::phases::{copying, cutover, ending, prepare};
use crate::plan::{Existing, Plan, StructurePlan};
use crate::report::{CutoverReport, EndReport, SCHEMA_VERSION, VerifyReport};
use crate::run::{Pulse, Run};
use crate::status::{OUTCOME_FILE, next_steps};

/// Where `run` stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Rows and indexes are there.
    Loaded,
    /// Changes flow, and the target is near.
    Following,
    /// Both sides were found equal.
    Verified,
    /// Clients are on the target.
    Switched,
    /// It goes on until it is interrupted, or another command ends the migration.
    Forever,
}

/// What a command needs beside the plan.
#[derive(Clone)]
pub struct Setting<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Asks the command to stop at a safe place.
    pub cancel: CancellationToken,
}

impl<'a> Setting<'a> {
    async fn open(&self, claim: Claim, begin: bool) -> Result<Run<'a>, Error> {
        self.open_with(claim, begin, Pulse::default()).await
    }

    async fn open_with(&self, claim: Claim, begin: bool, pulse: Pulse) -> Result<Run<'a>, Error> {
        let control = Control::open(&self.plan.target, &self.plan.name, claim, begin).await?;
        Ok(Run::new(
            self.plan,
            control,
            self.observer,
            self.cancel.clone(),
            pulse,
        ))
    }
}

/// Looks at both servers: every finding, the gravest first.
pub async fn check(plan: &Plan, live: bool) -> Result<Vec<Finding>, Error> {
    let doing = "connecting to look around";
    let mut source = Session::connect(&plan.source, "check")
        .await
        .on(Side::Source, doing)?;
    let mut target = Session::connect(&plan.target, "check")
        .await
        .on(Side::Target, doing)?;
    let own = control::peek(&mut target, &plan.name).await?;
    let own_name = own.as_ref().map(|(identity, _)| identity.object_name());
    // What is missing is a finding of its own.
    let programs = trunkline_load::Programs::find(source.version(), target.version(), &[])
        .await
        .ok();
    // A filter that matches nothing is the plan's error, not a finding.
    trunkline_load::tables(&mut source, &plan.scope).await?;
    if let Some(insert_only) = &plan.insert_only {
        trunkline_load::tables(&mut source, insert_only).await?;
    }
    let scope = |table: &TableName| plan.scope.covers_table(table);
    let insert_only = |table: &TableName| {
        plan.insert_only
            .as_ref()
            .is_some_and(|scope| scope.covers_table(table))
    };
    let options = copying::load_options(plan);
    // Once our structure stands on the target, it is what is examined there.
    let restored = own
        .as_ref()
        .is_some_and(|(_, state)| state.receipts.contains(&Object::Structure));
    let (structure, drop_if_exists) = match plan.structure {
        StructurePlan::Restore { existing, .. } if !restored => (true, existing == Existing::Drop),
        StructurePlan::Restore { .. } | StructurePlan::Present => (false, false),
    };
    let input = CheckInput {
        source: &mut source,
        target: &mut target,
        scope: &scope,
        live,
        drop_if_exists,
        structure,
        no_owner: options.no_owner,
        no_privileges: options.no_privileges,
        maintenance_database: &plan.cutover.maintenance_database,
        insert_only: &insert_only,
        pg_dump: programs.map(|programs| PgDump {
            path: programs.pg_dump,
            version: programs.version,
        }),
        own_slot: own_name.as_deref(),
        own_publication: plan.publication.as_deref().or(own_name.as_deref()),
        own_control_schema: own.is_some(),
    };
    Ok(checks::examine(input).await?)
}

/// Moves a live database, as far as `until`. Goes on where an earlier run stopped; a lost
/// connection is made again while that may help.
pub async fn run(setting: &Setting<'_>, until: Until) -> Result<EndReport, Error> {
    begin_anew(setting.plan)?;
    let pulse = Pulse::default();
    let mut backoff = again();
    loop {
        let error = match attempt(setting, until, &pulse).await {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        // What never worked is an error at once; what worked before may come back.
        if !(error.may_retry() && pulse.is_recent()) || setting.cancel.is_cancelled() {
            return Err(error);
        }
        let Some(wait) = backoff.next() else {
            return Err(error);
        };
        let why = error.to_string();
        tracing::warn!(why, "trying again");
        setting.observer.notice(Notice::Retry { why: &why, wait });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = setting.cancel.cancelled() => return Err(error),
        }
    }
}

/// The pauses between attempts; how long it goes on is the pulse's matter.
fn again() -> Backoff {
    Backoff::new(RECONNECT_FIRST, RECONNECT_PAUSE, u32::MAX)
}

async fn attempt(setting: &Setting<'_>, until: Until, pulse: &Pulse) -> Result<EndReport, Error> {
    // After a lost connection the old session's lock may take a moment to go.
    let claim = if pulse.is_recent() {
        Claim::HandedOver(RECONNECT_FOR)
    } else {
        Claim::Now
    };
    let opened = setting.open_with(claim, true, pulse.clone()).await;
    let mut run = match opened {
        Err(error) => return Err(explained(setting.plan, error).await),
        Ok(run) => run,
    };
    let ended = match reach_source(&run).await {
        Ok(()) => go_on(setting, until, &mut run).await,
        Err(error) => Err(error),
    };
    let error = match ended {
        Ok(report) => return Ok(report),
        Err(error) => error,
    };
    let phase = run.control.state().phase;
    if phase == Phase::Planned {
        // Nothing was begun: nothing of ours stays.
        run.control.erase().await?;
    }
    match error {
        Error::Load(LoadError::Cancelled) => Err(Error::Interrupted(phase)),
        error => Err(error),
    }
}

/// A role that may not even make the control schema gets the preflight's list, with every
/// statement that it needs, not the first refusal alone.
async fn explained(plan: &Plan, error: Error) -> Error {
    let denied = matches!(&error, Error::Server(fault)
        if fault.cause.sqlstate().is_some_and(|state| state.as_str() == "42501"));
    if !denied {
        return error;
    }
    match check(plan, true).await {
        Ok(findings) if !checks::verdict(&findings).may_go_on() => Error::Preflight(findings),
        _ => error,
    }
}

/// The target has answered; once the source does too, what is lost may come back. A fenced
/// source takes no connection.
async fn reach_source(run: &Run<'_>) -> Result<(), Error> {
    if run.control.state().fence.is_none() {
        let source = Session::connect(&run.plan.source, "reach").await;
        source.on(Side::Source, "connecting")?.close().await;
        run.beat();
    }
    Ok(())
}

/// Phase after phase, until the end that was asked for.
async fn go_on(
    setting: &Setting<'_>,
    until: Until,
    run: &mut Run<'_>,
) -> Result<EndReport, Error> {
    let mut caught_up = false;
    loop {
        let phase = run.control.state().phase;
        setting.observer.notice(Notice::Phase(phase));
        run.stop_if_cancelled()?;
        if run.control.state().fence.is_some() && phase != Phase::Switched {
            // A cutover died before the point of no return: the source is given back.
            cutover::give_back(run).await?;
            continue;
        }
        if is_reached(until, phase, caught_up) {
            return Ok(end_report(run));
        }
        match phase {
            Phase::Planned => preflight(run).await?,
            Phase::Checked => prepare::prepare(run).await?,
            Phase::Prepared => copying::restore(run).await?,
            Phase::Structured | Phase::Copying => copying::copy(run).await?,
            Phase::Loaded => catch_up(run).await?,
            Phase::Following | Phase::Verified if until == Until::Following => {
                catch_up(run).await?;
                caught_up = true;
            }
            Phase::Following => {
                let different = compare(run).await?;
                if !different.is_empty() {
                    if until != Until::Forever {
                        return Err(Error::Differences(different));
                    }
                    stay(run).await?;
                }
            }
            Phase::Verified if until == Until::Switched => {
                let follow = Follow::open(run).await?;
                cutover::cutover(run, follow).await?;
            }
            Phase::Verified => stay(run).await?,
            Phase::Fenced | Phase::Drained => {
                // The fence's record is missing: nothing was fenced.
                run.control.moved(Event::FenceLifted).await?;
            }
            Phase::Switched => {
                cutover::finish(run).await?;
                return Ok(end_report(run));
            }
            Phase::Completed | Phase::Aborted => return Err(Error::Ended),
        }
    }
}

fn is_reached(until: Until, phase: Phase, caught_up: bool) -> bool {
    match until {
        Until::Loaded => phase.has_rows(),
        Until::Following => caught_up,
        Until::Verified => phase == Phase::Verified,
        Until::Switched | Until::Forever => false,
    }
}

/// A migration that was given up may begin again. One that was completed may not: its target
/// serves clients, and to begin again would overwrite what they wrote.
fn begin_anew(plan: &Plan) -> Result<(), Error> {
    let path = plan.dir.join(OUTCOME_FILE);
    if std::fs::read_to_string(&path).is_ok_and(|outcome| outcome.trim() == "completed") {
        return Err(Error::Refused {
            why: format!("the migration `{}` is completed", plan.name),
            hint: format!(
                "give another one another --name; to begin this one again, remove {}",
                path.display()
            ),
        });
    }
    match std::fs::remove_file(&path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
            path: path.display().to_string(),
            cause,
        }),
        _ => Ok(()),
    }
}

async fn preflight(run: &mut Run<'_>) -> Result<(), Error> {
    run.step("preflight");
    let findings = check(run.plan, true).await?;
    if let Verdict::Blocked { .. } = checks::verdict(&findings) {
        return Err(Error::Preflight(findings));
    }
    run.control.moved(Event::CheckPassed).await
}

async fn catch_up(run: &mut Run<'_>) -> Result<(), Error> {
    run.step("catching up");
    if run.control.state().phase == Phase::Loaded {
        let mut follow = Follow::open(run).await?;
        let copied = verifying::emit(follow.source(), "copied").await?;
        follow.until(run, Goal::Commit(copied)).await?;
        follow.close().await?;
        // Now the target is what the source was at one moment.
        copying::finish_structure(run).await?;
    }
    let mut follow = Follow::open(run).await?;
    follow
        .until(run, Goal::Near(run.plan.cutover.max_lag_bytes))
        .await?;
    follow.close().await?;
    run.control.moved(Event::CaughtUp).await
}

/// Compares everything; gives the names of the tables that differ.
async fn compare(run: &mut Run<'_>) -> Result<Vec<String>, Error> {
    let mut follow = Follow::open(run).await?;
    let report = verifying::verify(run, &mut follow, &Selection::All).await?;
    follow.close().await?;
    let names = report.differences.iter().map(|v| v.table.to_string());
    Ok(names.collect())
}

/// Stays following; hands the migration over to a command that asks for it, and goes on
/// when that is done.
async fn stay(run: &mut Run<'_>) -> Result<(), Error> {
    loop {
        let mut follow = Follow::open(run).await?;
        let reached = follow.until(run, Goal::Forever).await?;
        follow.close().await?;
        if reached == Reached::Wanted {
            run.step("handing over to another command");
            tokio::select! {
                handed = run.control.hand_over() => handed?,
                () = run.cancel.cancelled() => {
                    return Err(Error::Interrupted(run.control.state().phase));
                }
            }
        }
        let state = run.control.state();
        // A cutover that died while it held clients leaves its intent, and the phase as it was.
        if state.fence.is_some() || !matches!(state.phase, Phase::Following | Phase::Verified) {
            return Ok(());
        }
    }
}

fn end_report(run: &Run<'_>) -> EndReport {
    let phase = run.control.state().phase;
    EndReport {
        schema_version: SCHEMA_VERSION,
        migration: run.control.identity().name.clone(),
        phase,
        done: Vec::new(),
        next_steps: next_steps(phase, false),
    }
}

/// A migration that is held for a command other than `run`; its rows must be there.
async fn claim_following<'a>(setting: &Setting<'a>) -> Result<Run<'a>, Error> {
    let mut run = setting
        .open(Claim::HandedOver(HAND_OVER_WITHIN), false)
        .await?;
    let phase = run.control.state().phase;
    if run.control.state().fence.is_some() && phase != Phase::Switched {
        cutover::give_back(&mut run).await?;
    }
    match run.control.state().phase {
        Phase::Following | Phase::Verified | Phase::Switched => Ok(run),
        phase => Err(Error::Refused {
            why: format!(
                "the migration is {}: its rows are not all on the target yet",
                phase.name()
            ),
            hint: "`trunkline run` goes on where it was".to_owned(),
        }),
    }
}

/// Compares both sides now, while writers run. With a selection, the result is shown only.
pub async fn verify(setting: &Setting<'_>, tables: Option<&Scope>) -> Result<VerifyReport, Error> {
    let mut run = claim_following(setting).await?;
    if run.control.state().phase == Phase::Switched {
        return Err(Error::Refused {
            why: "clients write on the target since the switch: the two sides differ by now"
                .to_owned(),
            hint: "the cutover's report holds the comparison at the switch".to_owned(),
        });
    }
    if let Some(scope) = tables {
        refuse_unmatched(setting.plan, scope).await?;
    }
    let selection = tables.map_or(Selection::All, Selection::Matching);
    let mut follow = Follow::open(&mut run).await?;
    let report = verifying::verify(&mut run, &mut follow, &selection).await?;
    follow.close().await?;
    Ok(report)
}

/// A pattern that matches no table is an error, never an empty success.
async fn refuse_unmatched(plan: &Plan, scope: &Scope) -> Result<(), Error> {
    let doing = "reading the tables";
    let mut source = Session::connect(&plan.source, "catalog")
        .await
        .on(Side::Source, doing)?;
    trunkline_load::tables(&mut source, scope).await?;
    source.close().await;
    Ok(())
}

/// Moves the clients; [`Error::CutoverAborted`] says that the source serves as before.
pub async fn cutover(setting: &Setting<'_>) -> Result<CutoverReport, Error> {
    let mut run = claim_following(setting).await?;
    if run.control.state().phase == Phase::Switched {
        cutover::finish(&mut run).await?;
        return Err(Error::Refused {
            why: "clients are switched already; what was left of it is done".to_owned(),
            hint: "`trunkline status` says what is next".to_owned(),
        });
    }
    let follow = Follow::open(&mut run).await?;
    cutover::cutover(&mut run, follow).await
}

/// Gives the migration up.
pub async fn abort(setting: &Setting<'_>, tables: TargetTables) -> Result<EndReport, Error> {
    let run = setting
        .open(Claim::HandedOver(HAND_OVER_WITHIN), false)
        .await?;
    ending::abort(run, tables).await
}

/// Ends the migration after the switch.
pub async fn complete(setting: &Setting<'_>, fence: SourceFence) -> Result<EndReport, Error> {
    let run = setting
        .open(Claim::HandedOver(HAND_OVER_WITHIN), false)
        .await?;
    ending::complete(run, fence).await
}

/// Copies a database at rest: no slot, no stream. Run again after an interruption, it goes
/// on; what changed on the source meanwhile is not followed.
pub async fn clone(setting: &Setting<'_>) -> Result<EndReport, Error> {
    let plan = setting.plan;
    begin_anew(plan)?;
    let findings = check(plan, false).await?;
    if let Verdict::Blocked { .. } = checks::verdict(&findings) {
        return Err(Error::Preflight(findings));
    }
    let mut run = setting.open(Claim::Now, true).await?;
    if run.control.state().slot.is_some() {
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
    let target = run.control.session();
    set_sequences(target, Side::Target, &wanted).await?;
    let found = read_sequences(target, Side::Target, scope).await?;
    let differences = trunkline_load::compare_sequences(&wanted, &found);
    if differences.is_empty() {
        return Ok(wanted.len());
    }
    let names: Vec<String> = differences.iter().map(ToString::to_string).collect();
    Err(Error::Differences(names))
}

/// What a run would do, step by step.
pub async fn plan_steps(plan: &Plan) -> Result<Vec<String>, Error> {
    crate::steps::steps(plan).await
}
