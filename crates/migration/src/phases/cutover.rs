//! Verified → Fenced → Drained → Switched: the moment that must not go wrong quietly.
//!
//! Needs: a follower near the source, nothing parked, no difference. Does, in order: hold
//! clients, fence the source, write a barrier, apply up to it, compare once more what time
//! allows, set every sequence and read it back, write a second barrier and see that nothing
//! came between the two, journal the point of no return, switch, release. Looks: the journal.
//! Undone, before the point of no return: [`give_back`]; after it: never, only finished.

mod gates;
mod giving_back;
mod pause;
mod proof;
mod sequences;
mod stopwatch;
mod summary;
mod unstreamed;

pub(crate) use giving_back::give_back;

use std::time::Duration;

use tokio::time::Instant;
use trunkline_changes::Side;
use trunkline_postgres::{Backoff, OnSide, Session};
use trunkline_verify::{Comparer, Comparison};

use crate::error::Error;
use crate::fence::{self, AfterSwitch, FenceBefore};
use crate::follow::{Follow, Goal};
use crate::journal::Entry;
use crate::limits::{RECONNECT_FIRST, RECONNECT_PAUSE};
use crate::phase::{Event, Phase};
use crate::phases::verifying::{self, Selection};
use crate::report::{CutoverReport, VerifyReport};
use crate::run::Run;
use giving_back::give_up;
use pause::{Missed, Proved, pause};
use proof::{CaughtUp, SequencesSet};
use stopwatch::Stopwatch;

/// Everything that must be open before the door closes.
struct Ready {
    outside: Session,
    /// Taken for the comparison inside the pause.
    comparer: Option<Comparer>,
    comparisons: Vec<Comparison>,
    unlogged: Vec<unstreamed::Unlogged>,
    before: FenceBefore,
    verified: VerifyReport,
    /// Our own sessions in the source's database.
    ours: Vec<i32>,
}

/// Moves the clients, or gives the source back and says why.
pub(crate) async fn cutover(run: &mut Run<'_>, mut follow: Follow) -> Result<CutoverReport, Error> {
    gates::nothing_parked(run).await?;
    let verified = verifying::verify(run, &mut follow, &Selection::All).await?;
    if !verified.equal {
        let names = verified
            .differences
            .iter()
            .map(|verdict| verdict.table.to_string());
        return Err(Error::Differences(names.collect()));
    }
    gates::target_is_complete(run).await?;
    let mut ready = make_ready(run, &mut follow, verified).await?;
    follow
        .until(run, Goal::Near(run.plan.cutover.max_lag_bytes))
        .await?;
    follow.stay_live();
    let mut watch = Stopwatch::start();
    let deadline = Instant::now() + run.plan.cutover.max_pause;
    let proved = pause(run, &mut follow, &mut ready, &mut watch, deadline).await;
    match proved {
        Ok(proved) => switch(run, follow, ready, proved, watch).await,
        Err(why) => {
            // The follower may have been left inside of a transaction: it is dropped as it is.
            drop(follow);
            give_up(run, ready, watch, why).await
        }
    }
}

async fn make_ready(
    run: &mut Run<'_>,
    follow: &mut Follow,
    verified: VerifyReport,
) -> Result<Ready, Error> {
    run.step("preparing the cutover");
    let (tables, places) = run.tables_and_places().await?;
    let comparer =
        Comparer::connect(&run.plan.source, &run.plan.target, run.plan.copy.jobs).await?;
    let mut ours = comparer.source_process_ids();
    ours.push(follow.source().process_id());
    Ok(Ready {
        outside: outside(run).await?,
        before: fence::settings_before(follow.source(), Side::Source).await?,
        comparisons: verifying::comparisons(&tables, &places, &Selection::All),
        unlogged: unstreamed::unlogged_tables(&tables, &places),
        comparer: Some(comparer),
        verified,
        ours,
    })
}

/// A session on the source's server that the closed database does not lock out.
pub(crate) async fn outside(run: &Run<'_>) -> Result<Session, Error> {
    let conninfo = run
        .plan
        .source
        .with_database(&run.plan.cutover.maintenance_database);
    let doing = format!(
        "connecting to the maintenance database {}",
        run.plan.cutover.maintenance_database
    );
    Ok(Session::connect(&conninfo, "fence")
        .await
        .on(Side::Source, doing)?)
}

/// The point of no return, and what follows it.
async fn switch(
    run: &mut Run<'_>,
    follow: Follow,
    mut ready: Ready,
    proved: Proved,
    mut watch: Stopwatch,
) -> Result<CutoverReport, Error> {
    let entered = point_of_no_return(run, &proved.fenced, &proved.caught_up, &proved.sequences);
    if let Err(error) = entered.await
        && let NotEntered::No = settle(run).await?
    {
        drop(follow);
        return give_up(run, ready, watch, Missed::Because(error.to_string())).await;
    }
    let moved = move_clients(run).await;
    watch.lap("switch");
    let pause = watch.total();
    // The slot is free once the follower is gone; what it read is applied and durable.
    let closed = follow.close(run).await;
    let source_after = fence::stand(&mut ready.outside, Side::Source, &ready.before).await;
    moved?;
    if let Err(error) = closed {
        tracing::warn!(%error, "the stream did not end in order");
    }
    let source_after = source_after.unwrap_or(AfterSwitch::Closed);
    Ok(summary::switched(
        run,
        &ready.verified,
        &proved,
        &watch,
        pause,
        source_after,
    ))
}

/// Nothing can call this without having seen the source fenced, the barrier applied and the
/// sequences set.
async fn point_of_no_return(
    run: &mut Run<'_>,
    _fenced: &fence::WritesFenced,
    _caught_up: &CaughtUp,
    _sequences: &SequencesSet,
) -> Result<(), Error> {
    run.control.moved(Event::ClientsMoved).await
}

/// What the journal says of the point of no return.
enum NotEntered {
    /// It was passed: the entry is there.
    Passed,
    /// It was not.
    No,
}

/// The journal's answer was lost: whether the entry is there is read back, for as long as
/// that takes. Until then clients stay held, because either answer may be true.
async fn settle(run: &mut Run<'_>) -> Result<NotEntered, Error> {
    let mut backoff = Backoff::new(RECONNECT_FIRST, RECONNECT_PAUSE, u32::MAX);
    loop {
        match run.control.mend().await {
            Ok(()) if run.control.state().phase == Phase::Switched => {
                return Ok(NotEntered::Passed);
            }
            Ok(()) => return Ok(NotEntered::No),
            Err(error) => tracing::warn!(%error, "the journal does not answer"),
        }
        let wait = backoff.next().unwrap_or(RECONNECT_PAUSE);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = run.cancel.cancelled() => return Err(Error::PastNoReturn {
                why: "whether the switch was journalled is not known".to_owned(),
                hint: "both sides refuse writes; once the target answers, `trunkline run` reads \
                       its journal and does what it says"
                    .to_owned(),
            }),
        }
    }
}

/// Points clients to the target and lets them go on. May be called again after a crash.
async fn move_clients(run: &mut Run<'_>) -> Result<(), Error> {
    /// After the point of no return clients wait for this: it gets the time that it needs.
    const PATIENCE: Duration = Duration::from_mins(1);
    run.step("moving clients");
    let moved = async {
        let traffic = &run.plan.cutover.traffic;
        traffic.point_at(Side::Target, PATIENCE).await?;
        traffic.release(Side::Target, PATIENCE).await?;
        traffic.verify(Side::Target, PATIENCE).await
    };
    moved.await.map_err(|error| Error::PastNoReturn {
        why: error.to_string(),
        hint: "the target holds everything and serves: point the clients there, or run \
               `trunkline cutover` again to repeat the switch"
            .to_owned(),
    })?;
    run.control.record(Entry::ClientsReleased).await
}

/// After a crash behind the point of no return: the rest of the switch. Where nothing is
/// left of it, nothing is done.
pub(crate) async fn finish(run: &mut Run<'_>) -> Result<AfterSwitch, Error> {
    if !run.control.state().clients_released {
        move_clients(run).await?;
    }
    let Some(before) = run.control.state().fence.clone() else {
        return Ok(AfterSwitch::Closed);
    };
    let mut outside = outside(run).await?;
    Ok(fence::stand(&mut outside, Side::Source, &before).await?)
}
