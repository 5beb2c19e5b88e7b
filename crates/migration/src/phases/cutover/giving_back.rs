//! Before the point of no return: the source is given back to its clients, whatever failed.

use std::time::Duration;

use trunkline_changes::{Lsn, Side};
use trunkline_postgres::Backoff;

use super::pause::Missed;
use super::stopwatch::Stopwatch;
use super::{Ready, outside, summary};
use crate::error::Error;
use crate::fence::{self, FenceBefore};
use crate::limits::RECORD_WITHIN;
use crate::phase::Event;
use crate::report::CutoverReport;
use crate::run::Run;

/// Before the point of no return: the fence is lifted and clients go on at the source.
pub(crate) async fn give_back(run: &mut Run<'_>) -> Result<(), Error> {
    lift_and_release(run).await?;
    if run.control.state().fence.is_some() {
        run.control.moved(Event::FenceLifted).await?;
    }
    Ok(())
}

async fn lift_and_release(run: &Run<'_>) -> Result<(), Error> {
    run.step("giving the source back");
    if let Some(before) = &run.control.state().fence {
        lift_patiently(run, before).await?;
    }
    let patience = run.plan.cutover.max_pause.max(Duration::from_secs(10));
    let released = run.plan.cutover.traffic.release(Side::Source, patience);
    let released = released.await;
    released.map_err(|error| Error::FenceStands {
        why: format!("the fence is lifted, but clients are still held: {error}"),
    })
}

/// Records that the source was given back. A target that does not answer cannot hold this
/// up: the next run finds the fence's record and lifts it once more, which changes nothing.
async fn record_given_back(run: &mut Run<'_>, different: Option<Lsn>) {
    let recorded = async {
        run.control.mend().await?;
        if run.control.state().fence.is_some() {
            run.control.moved(Event::FenceLifted).await?;
        }
        match different {
            Some(at) => run.control.moved(Event::FoundDifferent { at }).await,
            None => Ok(()),
        }
    };
    match tokio::time::timeout(RECORD_WITHIN, recorded).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the journal was not told"),
        Err(_) => tracing::warn!("the target does not answer: the journal was not told"),
    }
}

async fn lift_patiently(run: &Run<'_>, before: &FenceBefore) -> Result<(), Error> {
    let mut backoff = Backoff::for_connecting();
    loop {
        let lifted = async {
            let mut outside = outside(run).await?;
            fence::lift(&mut outside, Side::Source, before).await?;
            Ok::<(), Error>(())
        };
        let error = match lifted.await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match backoff.next() {
            Some(wait) if error.may_retry() => tokio::time::sleep(wait).await,
            _ => {
                return Err(Error::FenceStands {
                    why: error.to_string(),
                });
            }
        }
    }
}

pub(super) async fn give_up(
    run: &mut Run<'_>,
    ready: Ready,
    mut watch: Stopwatch,
    missed: Missed,
) -> Result<CutoverReport, Error> {
    let (why, differences) = match missed {
        Missed::Deadline(step) => (
            format!(
                "the pause of {:?} was over during: {step}",
                run.plan.cutover.max_pause
            ),
            Vec::new(),
        ),
        Missed::Because(why) => (why, Vec::new()),
        Missed::Different(different) => {
            ("tables differ after the last write".to_owned(), different)
        }
    };
    tracing::warn!(why, "the cutover is given up");
    let Ready {
        verified,
        outside,
        comparer,
        ..
    } = ready;
    drop(comparer);
    outside.close().await;
    // Held clients are let go also where the fence was never begun.
    lift_and_release(run).await?;
    watch.lap("give back");
    let pause = watch.total();
    let different = (!differences.is_empty()).then_some(verified.barrier_lsn);
    record_given_back(run, different).await;
    let mut report = summary::aborted(run, &verified, &watch, pause, &why);
    report.differences = differences;
    Err(Error::CutoverAborted {
        why,
        report: Box::new(report),
    })
}
