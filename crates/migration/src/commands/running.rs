//! `run`: phase after phase, through lost connections, until the end that was asked for.

use std::time::Instant;

use trunkline_changes::Side;
use trunkline_load::LoadError;
use trunkline_postgres::{Backoff, OnSide, Session};

use super::outcome::{begin_anew, ended};
use super::validating::{Validated, compare, keep_validating, validate};
use super::{Setting, check, looked, reopening, standby};
use crate::checks::{self, Verdict};
use crate::control::{Claim, Identity};
use crate::error::Error;
use crate::follow::{Follow, Goal, Reached};
use crate::limits::{RECONNECT_FIRST, RECONNECT_FOR, RECONNECT_PAUSE};
use crate::observer::Notice;
use crate::phase::{Event, Phase};
use crate::phases::cutover::Extent;
use crate::phases::ending;
use crate::phases::seeding::{self, Seeding};
use crate::phases::verifying;
use crate::phases::{copying, cutover, prepare, way_back};
use crate::plan::{RowsBy, Seed};
use crate::report::{EndReport, SCHEMA_VERSION};
use crate::run::{Pulse, Run};
use crate::status::outcome;
use crate::subscription;

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

/// Moves a live database, as far as `until`. Goes on where an earlier run stopped; a lost
/// connection is made again while that may help.
pub async fn run(setting: &Setting<'_>, until: Until) -> Result<EndReport, Error> {
    ending::finish_removal(setting.plan).await?;
    begin_anew(setting.plan)?;
    let pulse = Pulse::default();
    let mut backoff = again();
    let mut failing = Failing::default();
    let mut held = None;
    loop {
        let began = Instant::now();
        let error = match attempt(setting, until, &pulse, &mut held).await {
            Ok(report) => return Ok(report),
            Err(Error::Ended) => return ended(setting.plan),
            // Its end may have taken away the very server that does not answer.
            Err(_) if held.is_some() && outcome(setting.plan).is_some() => {
                return ended(setting.plan);
            }
            Err(error) => error,
        };
        let stands = held
            .as_ref()
            .map_or(Phase::Planned, |held: &Held| held.phase);
        // A target that a rollback closes for a moment opens again.
        let may_come_back = error.may_retry() || reopening::is_closed(&error);
        // What never worked is an error at once; what worked before may come back. A connection
        // that died without a word is found out only later.
        if !(may_come_back && failing.goes_on(&pulse)) {
            return Err(error);
        }
        if setting.cancel.is_cancelled() {
            return Err(Error::Interrupted(stands));
        }
        if began.elapsed() > RECONNECT_PAUSE {
            // It worked for a while: this is another failure, not the last one going on.
            backoff = again();
        }
        let Some(wait) = backoff.next() else {
            return Err(error);
        };
        let why = error.to_string();
        tracing::warn!(why, "trying again");
        setting.observer.notice(Notice::Retry { why: &why, wait });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = setting.cancel.cancelled() => return Err(Error::Interrupted(stands)),
        }
    }
}

/// The pauses between attempts; how long it goes on is the pulse's matter.
fn again() -> Backoff {
    Backoff::new(RECONNECT_FIRST, RECONNECT_PAUSE, u32::MAX)
}

/// Since when nothing has worked.
#[derive(Debug, Default)]
struct Failing {
    since: Option<Instant>,
}

impl Failing {
    /// After an attempt that failed: whether the next one may help.
    fn goes_on(&mut self, pulse: &Pulse) -> bool {
        let Some(last) = pulse.last() else {
            return false;
        };
        let since = match self.since {
            Some(since) if last <= since => since,
            _ => Instant::now(),
        };
        self.since = Some(since);
        since.elapsed() < RECONNECT_FOR
    }
}

/// The migration that an earlier attempt of this run held.
struct Held {
    identity: Identity,
    /// The last phase that was seen.
    phase: Phase,
    /// The process of the target that held it.
    process: Option<i32>,
}

/// One attempt; `held` is what the one before it held.
async fn attempt(
    setting: &Setting<'_>,
    until: Until,
    pulse: &Pulse,
    held: &mut Option<Held>,
) -> Result<EndReport, Error> {
    // After a lost connection the old session's lock may take a moment to go.
    let claim = match held.as_ref().and_then(|held| held.process) {
        Some(process) => Claim::Lost(process),
        None if pulse.last().is_some() => Claim::HandedOver(RECONNECT_FOR),
        None => Claim::Now,
    };
    // What was held and is not there any more was ended: it is not begun again.
    let begin = held.is_none();
    let opened = setting.open_with(claim, begin, pulse.clone()).await;
    let mut run = match opened {
        Err(Error::NoSuchMigration { .. }) if !begin => return Err(Error::Ended),
        Err(error) => return Err(explained(setting, error).await),
        Ok(run) => run,
    };
    let identity = run.control.identity().clone();
    if held.as_ref().is_some_and(|held| held.identity != identity) {
        return Err(Error::Ended);
    }
    let ended = match reach_source(&run).await {
        Ok(()) => go_on(setting, until, &mut run).await,
        Err(error) => Err(error),
    };
    let error = match ended {
        Ok(report) => return Ok(report),
        Err(error) => error,
    };
    if run.control.was_ended().await {
        return Err(Error::Ended);
    }
    let phase = run.control.state().phase;
    let session = run.control.session().ok();
    *held = Some(Held {
        identity,
        phase,
        process: session.map(|session| session.canceller().process_id()),
    });
    if matches!(error, Error::Interrupted(_)) {
        subscription::leave_running(&mut run).await;
    }
    if phase == Phase::Planned {
        // Nothing was begun: nothing of ours stays.
        *held = None;
        run.control.erase().await?;
    }
    match error {
        Error::Load(LoadError::Cancelled) => Err(Error::Interrupted(phase)),
        error => Err(error),
    }
}

/// A role that may not even make the control schema gets the preflight's list, with every
/// statement that it needs, not the first refusal alone.
async fn explained(setting: &Setting<'_>, error: Error) -> Error {
    let denied = matches!(&error, Error::Server(fault)
        if fault.cause.sqlstate().is_some_and(|state| state.as_str() == "42501"));
    if !denied {
        return error;
    }
    match check(setting.plan, true, setting.observer).await {
        Ok(findings) if !checks::verdict(&findings).may_go_on() => Error::Preflight(findings),
        _ => error,
    }
}

/// The target has answered; once the source does too, what is lost may come back. A fenced
/// source takes no connection.
async fn reach_source(run: &Run<'_>) -> Result<(), Error> {
    if run.control.state().fence(Side::Source).is_none() {
        let source = Session::connect(&run.plan.source, "reach").await;
        source.on(Side::Source, "connecting")?.close().await;
        run.beat();
    }
    Ok(())
}

/// Phase after phase, until the end that was asked for.
async fn go_on(setting: &Setting<'_>, until: Until, run: &mut Run<'_>) -> Result<EndReport, Error> {
    run.refuse_other_choice().await?;
    let mut caught_up = false;
    loop {
        let phase = run.control.state().phase;
        setting.observer.notice(Notice::Phase(phase));
        if run.control.state().is_pausing() {
            // A switch died before its point of no return: clients get their side back.
            cutover::give_back(run).await?;
            continue;
        }
        run.stop_if_cancelled()?;
        if !run.control.state().clients_released {
            cutover::finish(run).await?;
        }
        if matches!(phase, Phase::Following | Phase::Verified) {
            take_back_prepared(run).await?;
        }
        if is_reached(until, phase, caught_up) {
            return Ok(end_report(run));
        }
        if run.is_over_standby() && !phase.is_switched() {
            match standby::go_on(run, until).await? {
                Some(report) => return Ok(report),
                None => continue,
            }
        }
        match phase {
            Phase::Planned => preflight(run).await?,
            Phase::Checked => prepare::prepare(run).await?,
            Phase::Prepared if run.plan.seed != Seed::Copy => {
                if seeding::seed(run).await? == Seeding::Awaited {
                    return Ok(EndReport {
                        next_steps: seeding::what_is_awaited(),
                        ..end_report(run)
                    });
                }
            }
            Phase::Prepared => copying::restore(run).await?,
            Phase::Structured | Phase::Copying => copying::copy(run).await?,
            Phase::Loaded => catch_up(run).await?,
            Phase::Following | Phase::Verified if until == Until::Following => {
                catch_up(run).await?;
                caught_up = true;
            }
            Phase::Following => compare_both(run, until).await?,
            Phase::Verified if until == Until::Switched => {
                let follow = Follow::open(run).await?;
                cutover::cutover(run, follow, Extent::Switch).await?;
            }
            Phase::Verified => stay(run).await?,
            Phase::Fenced | Phase::Drained | Phase::FencedBack | Phase::DrainedBack => {
                // The fence's record is missing: nothing was fenced.
                run.control.moved(Event::FenceLifted).await?;
            }
            Phase::Switched => {
                cutover::finish(run).await?;
                if until != Until::Forever || run.control.state().leg.is_none() {
                    return Ok(end_report(run));
                }
                run.step("keeping the old side up to date");
                stay(run).await?;
            }
            Phase::RolledBack => {
                cutover::finish(run).await?;
                catch_up(run).await?;
            }
            Phase::Completed | Phase::Aborted => return Err(Error::Ended),
        }
    }
}

/// Compares both sides, and stays where they differ and the run is to go on all the same.
async fn compare_both(run: &mut Run<'_>, until: Until) -> Result<(), Error> {
    let compared = if run.control.state().subscription().is_some() {
        // It names no changes: everything is compared at one position.
        compare(run).await
    } else {
        validate(run).await
    };
    let validated = match compared {
        // What cannot be compared stops the cutover, not the stream.
        Err(error) if until == Until::Forever && is_of_the_comparison(&error) => {
            let why = error.to_string();
            run.observer.notice(Notice::Warning(&why));
            Validated::Different(vec![why])
        }
        validated => validated?,
    };
    match validated {
        Validated::Equal => Ok(()),
        Validated::Wanted => hand_over(run).await,
        Validated::Different(names) if until != Until::Forever => Err(Error::Differences(names)),
        Validated::Different(_) => stay(run).await,
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

pub(super) async fn preflight(run: &mut Run<'_>) -> Result<(), Error> {
    run.step("preflight");
    let findings = looked(run).await?;
    if let Verdict::Blocked { .. } = checks::verdict(&findings) {
        return Err(Error::Preflight(findings));
    }
    run.control.moved(Event::CheckPassed).await
}

/// Follows until the other side is near, after the copy or after a rollback.
pub(super) async fn catch_up(run: &mut Run<'_>) -> Result<(), Error> {
    run.step("catching up");
    if run.control.state().phase == Phase::Loaded {
        let mut follow = Follow::open(run).await?;
        let copied = verifying::emit(follow.from(), Side::Source, "copied").await?;
        follow.until(run, Goal::Commit(copied)).await?;
        follow.close_at_rest(run).await?;
        // Now the target is what the source was at one moment.
        if !run.control.state().seeded {
            copying::finish_structure(run).await?;
        }
        if run.plan.route.subscription().is_some() {
            subscription::ensure(run, RowsBy::Trunkline).await?;
        }
    }
    let mut follow = Follow::open(run).await?;
    follow
        .until(run, Goal::Near(run.plan.cutover.max_lag_bytes))
        .await?;
    follow.close(run).await?;
    run.control.moved(Event::CaughtUp).await
}

/// Whether an error says that tables cannot be compared as they are, and not that a server or
/// the stream failed.
fn is_of_the_comparison(error: &Error) -> bool {
    match error {
        Error::Refused { .. } | Error::Differences(_) => true,
        Error::Server(fault) => !fault.cause.may_retry(),
        _ => false,
    }
}

/// Gives the migration to a command that asks for it, until that is done.
pub(super) async fn hand_over(run: &mut Run<'_>) -> Result<(), Error> {
    run.step("handing over to another command");
    tokio::select! {
        handed = run.control.hand_over(&run.plan.source) => {
            // However long it took: what is lost now was there a moment ago.
            run.alive();
            handed
        }
        () = run.cancel.cancelled() => Err(Error::Interrupted(run.control.state().phase)),
    }
}

/// Stays following; hands the migration over to a command that asks for it, and goes on
/// when that is done.
async fn stay(run: &mut Run<'_>) -> Result<(), Error> {
    let way = run.way();
    loop {
        take_back_prepared(run).await?;
        let mut follow = Follow::open(run).await?;
        let validation = match keep_validating(run, &mut follow).await {
            Err(error) if is_of_the_comparison(&error) => {
                let warning = format!("rows that change are not compared: {error}");
                run.observer.notice(Notice::Warning(&warning));
                None
            }
            validation => validation?,
        };
        let reached = follow.until(run, Goal::Forever).await;
        if let Some(validation) = validation {
            validation.stop().await;
        }
        let reached = reached?;
        follow.close(run).await?;
        if reached == Reached::Wanted {
            hand_over(run).await?;
        }
        let state = run.control.state();
        let follows = matches!(
            state.phase,
            Phase::Following | Phase::Verified | Phase::Switched
        );
        // A switch that died while it held clients leaves its intent, and the phase as it was.
        if state.is_pausing() || state.way() != way || !follows {
            return Ok(());
        }
    }
}

/// What a switch that died before its pause prepared: its slot would keep the log of a server
/// that nobody reads from.
async fn take_back_prepared(run: &mut Run<'_>) -> Result<(), Error> {
    match way_back::give_up(run).await {
        // A consumer reads already from a slot that was made for it: that stops no stream.
        Err(Error::Refused { why, .. }) => {
            run.observer.notice(Notice::Warning(&why));
            Ok(())
        }
        taken => taken,
    }
}

pub(super) fn end_report(run: &Run<'_>) -> EndReport {
    let phase = run.control.state().phase;
    EndReport {
        schema_version: SCHEMA_VERSION,
        migration: run.control.identity().name.clone(),
        phase,
        done: Vec::new(),
        next_steps: run.control.state().next_steps(false),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_never_worked_is_not_tried_again_and_what_worked_long_ago_is() {
        let (mut failing, pulse) = (Failing::default(), Pulse::default());
        assert!(!failing.goes_on(&pulse));
        let before = |age: Duration| {
            Instant::now()
                .checked_sub(age)
                .expect("a machine that is up")
        };
        pulse.beat_at(before(RECONNECT_FOR + RECONNECT_PAUSE));
        assert!(
            failing.goes_on(&pulse),
            "a dead connection is found out late"
        );
        failing.since = Some(before(RECONNECT_FOR));
        assert!(!failing.goes_on(&pulse), "nothing has worked since");
        pulse.beat();
        assert!(failing.goes_on(&pulse), "it works again");
    }
}
