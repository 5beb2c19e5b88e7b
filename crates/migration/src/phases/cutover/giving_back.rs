//! Before the point of no return: the side that serves is given back to its clients,
//! whatever failed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{Backoff, Fault, OnSide, PgError, Session, SqlState};

use super::pause::Missed;
use super::stopwatch::Stopwatch;
use super::{Extent, Ready, outside, standby, summary};
use crate::error::Error;
use crate::fence::{self, FenceBefore};
use crate::limits::{
    CANCEL_WITHIN, LIFTED_WITHIN, LOCK_WAITS, LOST_LOOK, RECORD_WITHIN, TAKE_BACK_WITHIN,
};
use crate::observer::Notice;
use crate::phase::Event;
use crate::phases::way_back;
use crate::report::CutoverReport;
use crate::run::Run;
use crate::subscription;
use crate::way::Way;

/// Before the point of no return: the fence is lifted and clients go on where they were.
pub(crate) async fn give_back(run: &mut Run<'_>) -> Result<(), Error> {
    lift_and_release(run, None).await?;
    if run.control.state().is_pausing() {
        run.control.moved(Event::FenceLifted).await?;
    }
    crate::standby::making::wake(run).await;
    run.control.come_home().await?;
    if run.control.is_in_file() {
        standby::after_given_back(run).await?;
    }
    way_back::give_up(run).await?;
    subscription::go_on(run).await
}

/// The same where nothing but the serving side is there any more.
pub(crate) async fn give_back_alone(run: &mut Run<'_>) -> Result<(), Error> {
    lift_and_release(run, None).await?;
    run.control.moved(Event::FenceLifted).await
}

/// `lost` is the process that a statement of the fence was given up in, if one was.
async fn lift_and_release(run: &Run<'_>, lost: Option<i32>) -> Result<(), Error> {
    let serves = run.way().from();
    run.step("giving the clients their side back");
    if let Some(before) = run.control.state().fence(serves) {
        lift_patiently(run, serves, (before, lost)).await?;
    }
    let patience = run.plan.cutover.max_pause.max(Duration::from_secs(10));
    let released = run.plan.cutover.traffic.release(serves, patience).await;
    released.map_err(|error| Error::ClientsHeld {
        side: serves,
        why: error.to_string(),
    })
}

/// Records that the clients have their side back, and takes away what the way back needed. A
/// server that does not answer cannot hold this up: the next run finds the fence's record
/// and lifts it once more, which changes nothing.
async fn record_given_back(run: &mut Run<'_>, different: Option<Lsn>) {
    let recorded = async {
        run.control.mend().await?;
        if run.control.state().is_pausing() {
            run.control.moved(Event::FenceLifted).await?;
        }
        if let Some(at) = different
            && run.way() == Way::There
        {
            run.control.moved(Event::FoundDifferent { at }).await?;
        }
        Ok::<(), Error>(())
    };
    match tokio::time::timeout(RECORD_WITHIN, recorded).await {
        Ok(Ok(())) => take_back(run).await,
        Ok(Err(error)) => tracing::warn!(%error, "the journal was not told"),
        Err(_) => tracing::warn!("a server does not answer: the journal was not told"),
    }
}

/// With a server that was just told, and so answers: what was made for the switch goes.
async fn take_back(run: &mut Run<'_>) {
    let taken = async {
        run.control.come_home().await?;
        if run.control.is_in_file() {
            standby::after_given_back(run).await?;
        }
        way_back::give_up(run).await?;
        subscription::go_on(run).await
    };
    match tokio::time::timeout(TAKE_BACK_WITHIN, taken).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "what the switch made is taken back later"),
        Err(_) => tracing::warn!("what the switch made is taken back later"),
    }
}

/// Lifts a side's fence, for as long as a lost connection may come back. Clients are held
/// meanwhile: each try has its time, and what it failed by is told. It waits neither for another
/// session's lock on the database nor for a synchronous standby that is gone.
pub(super) async fn lift_patiently(
    run: &Run<'_>,
    serves: Side,
    (before, lost): (&FenceBefore, Option<i32>),
) -> Result<(), Error> {
    let mut backoff = Backoff::for_connecting();
    let mut said = BTreeSet::new();
    loop {
        let lifted = async {
            // Connecting has a limit of its own for each address.
            let mut outside = outside(run, serves).await?;
            let lifted = async {
                end_process(&mut outside, serves, lost).await?;
                lift(&mut outside, serves, before).await
            };
            let lifted = tokio::time::timeout(LIFTED_WITHIN, lifted);
            let late = |_| {
                let doing = "its answer".to_owned();
                Err(PgError::TimedOut { doing }).on(serves, "lifting the fence")
            };
            Ok::<(), Error>(lifted.await.unwrap_or_else(late)?)
        };
        let error = match lifted.await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let why = error.to_string();
        let warning = format!("the {serves} is not given back to its clients yet: {why}");
        if said.insert(why) {
            run.observer.notice(Notice::Warning(&warning));
        }
        if is_locked(&error) && !run.cancel.is_cancelled() {
            // It was waited for: whoever has the database lets go sooner or later.
            continue;
        }
        match backoff.next() {
            Some(wait) if error.may_retry() || is_concurrent(&error) => {
                tokio::time::sleep(wait).await;
            }
            _ => {
                return Err(Error::FenceStands {
                    side: serves,
                    why: error.to_string(),
                });
            }
        }
    }
}

async fn lift(outside: &mut Session, serves: Side, before: &FenceBefore) -> Result<(), Fault> {
    let pins = format!("SET lock_timeout = '{LOCK_WAITS}'; SET synchronous_commit = local");
    let doing = "giving the clients their side back";
    outside.batch(&pins).await.on(serves, doing)?;
    fence::lift(outside, serves, before).await
}

/// Another session has the database's row (55P03).
fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Server(fault)
        if fault.cause.sqlstate() == Some(&SqlState::LOCK_NOT_AVAILABLE))
}

/// Another session changed the database's row at the same time (XX000, "tuple concurrently
/// updated"): our own statement that was given up, ending late.
fn is_concurrent(error: &Error) -> bool {
    matches!(error, Error::Server(fault)
        if fault.cause.sqlstate().is_some_and(|state| state.as_str() == "XX000"))
}

/// A statement that the deadline left waiting must not be done later: a sequence that is set
/// then would be set back. Gives the process that it was sent to.
async fn end_statement(session: Session) -> Option<i32> {
    if !session.is_broken() {
        return None;
    }
    let cancel = session.canceller();
    let _sent = tokio::time::timeout(CANCEL_WITHIN, cancel.cancel()).await;
    Some(cancel.process_id())
}

/// Ends a session of ours that a statement was given up in: on a connection that stands still it
/// may not have come yet, which no cancel keeps from coming later. One that does not end soon is
/// left: the fence's end is more urgent.
async fn end_process(session: &mut Session, side: Side, lost: Option<i32>) -> Result<(), Fault> {
    let Some(lost) = lost else {
        return Ok(());
    };
    let end = "SELECT pg_catalog.pg_terminate_backend(a.pid) \
                 FROM pg_catalog.pg_stat_activity a \
                WHERE a.pid = $1 AND a.usename = session_user \
                  AND a.application_name LIKE 'trunkline %'";
    let begun = Instant::now();
    loop {
        match session.query(end, &[&lost]).await {
            Ok(left) if left.is_empty() => return Ok(()),
            Ok(_) if begun.elapsed() < CANCEL_WITHIN => tokio::time::sleep(LOST_LOOK).await,
            Ok(_) => {
                tracing::warn!("our own session that was lost does not end");
                return Ok(());
            }
            Err(PgError::Server(error)) => {
                tracing::warn!(%error, "our own session that was lost was not ended");
                return Ok(());
            }
            Err(lost) => return Err(lost).on(side, "ending our own session that was lost"),
        }
    }
}

/// The same where it was sent to the side that was to serve.
async fn end_process_on(run: &Run<'_>, side: Side, lost: i32) {
    let ended = async {
        let mut session = run.connect(side, "switch").await?;
        end_process(&mut session, side, Some(lost)).await?;
        Ok::<(), Error>(())
    };
    match tokio::time::timeout(LIFTED_WITHIN, ended).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "our own session that was lost was not ended"),
        Err(_) => tracing::warn!("our own session that was lost was not ended"),
    }
}

/// Ends a pause before its point of no return.
pub(super) async fn give_up(
    run: &mut Run<'_>,
    ready: Ready,
    mut watch: Stopwatch,
    missed: Missed,
) -> Result<CutoverReport, Error> {
    let Ready {
        verified,
        outside,
        comparer,
        to,
        ..
    } = ready;
    drop(comparer);
    let lost = end_statement(outside).await;
    let reached = watch.total();
    // Held clients are let go also where the fence was never begun.
    lift_and_release(run, lost).await?;
    watch.lap("give back");
    let pause = watch.total();
    if let Some(lost) = end_statement(to).await {
        end_process_on(run, ready.way.to(), lost).await;
    }
    let mut smoke = Vec::new();
    let (why, differences) = match missed {
        Missed::Rehearsed(proved) => {
            record_given_back(run, None).await;
            return Ok(summary::rehearsed(
                run, &verified, &proved, &watch, pause, reached,
            ));
        }
        Missed::Deadline(step) => (
            format!(
                "the pause of {:?} was over during: {step}",
                run.plan.cutover.max_pause
            ),
            Vec::new(),
        ),
        Missed::Because(why) => (why, Vec::new()),
        Missed::Smoke(failure) => {
            let why = failure.to_string();
            smoke = failure.outcomes;
            (why, Vec::new())
        }
        Missed::Different(different) => {
            ("tables differ after the last write".to_owned(), different)
        }
    };
    tracing::warn!(why, "the switch is given up");
    let different = (!differences.is_empty()).then_some(verified.barrier_lsn);
    record_given_back(run, different).await;
    let mut report = summary::aborted(run, &verified, &watch, pause, &why);
    report.differences = differences;
    report.smoke = smoke;
    Err(Error::CutoverAborted {
        serves: run.way().from(),
        rehearsed: ready.extent == Extent::Rehearse,
        why,
        report: Box::new(report),
    })
}
