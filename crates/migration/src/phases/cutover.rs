//! Verified → Fenced → Drained → Switched: the moment that must not go wrong quietly.
//!
//! Needs: a follower near the source, nothing parked, no difference. Does, in order: hold
//! clients, fence the source, write a barrier, apply up to it, compare once more what time
//! allows, set every sequence and read it back, write a second barrier and see that nothing
//! came between the two, journal the point of no return, switch, release. Looks: the journal.
//! Undone, before the point of no return: [`give_back`]; after it: never, only finished.

mod gates;
mod proof;
mod sequences;
mod stopwatch;

use std::time::Duration;

use tokio::time::Instant;
use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{Backoff, OnSide, Session};
use trunkline_verify::{Comparer, Comparison, TableVerdict, View};

use crate::error::Error;
use crate::fence::{self, AfterSwitch, Fence, FenceBefore};
use crate::follow::{Follow, Goal};
use crate::journal::Entry;
use crate::phase::{Event, Phase};
use crate::phases::verifying::{self, Selection, emit};
use crate::report::{
    CutoverOutcome, CutoverReport, CutoverTable, SCHEMA_VERSION, SequenceCounts, VerifyReport,
};
use crate::run::Run;
use crate::status::next_steps;
use crate::traffic::{Direction, Scene, Traffic};
use proof::{CaughtUp, SequencesSet};
use stopwatch::Stopwatch;

/// Everything that must be open before the door closes.
struct Ready {
    traffic: Traffic,
    outside: Session,
    /// Taken for the comparison inside the pause.
    comparer: Option<Comparer>,
    comparisons: Vec<Comparison>,
    before: FenceBefore,
    verified: VerifyReport,
    /// Our own sessions in the source's database.
    ours: Vec<i32>,
}

/// What the pause showed.
struct Proved {
    caught_up: CaughtUp,
    sequences: SequencesSet,
    rechecked: Vec<TableVerdict>,
    fenced: fence::WritesFenced,
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
    let comparer =
        Comparer::connect(&run.plan.source, &run.plan.target, run.plan.copy.jobs).await?;
    let mut ours = comparer.source_process_ids();
    ours.push(follow.source().process_id());
    Ok(Ready {
        traffic: traffic(run),
        outside: outside(run).await?,
        before: fence::settings_before(follow.source()).await?,
        comparisons: gates::all_comparisons(run).await?,
        comparer: Some(comparer),
        verified,
        ours,
    })
}

fn traffic(run: &Run<'_>) -> Traffic {
    let scene = Scene {
        migration: run.control.identity().name.clone(),
        source: run.plan.source.label(),
        target: run.plan.target.label(),
    };
    Traffic::new(&run.plan.cutover.traffic, scene)
}

/// A session on the source's server that the closed database does not lock out.
async fn outside(run: &Run<'_>) -> Result<Session, Error> {
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

/// Why the pause was given up.
enum Missed {
    /// The time was over.
    Deadline(&'static str),
    /// Something that must hold does not.
    Because(String),
    /// The two sides differ.
    Different(Vec<TableVerdict>),
}

impl From<Error> for Missed {
    fn from(error: Error) -> Self {
        Missed::Because(error.to_string())
    }
}

/// One step of the pause, within what is left of it.
async fn within<T, E: Into<Missed>>(
    deadline: Instant,
    step: &'static str,
    watch: &mut Stopwatch,
    doing: impl Future<Output = Result<T, E>>,
) -> Result<T, Missed> {
    let done = tokio::time::timeout_at(deadline, doing).await;
    watch.lap(step);
    match done {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Missed::Deadline(step)),
    }
}

async fn pause(
    run: &mut Run<'_>,
    follow: &mut Follow,
    ready: &mut Ready,
    watch: &mut Stopwatch,
    deadline: Instant,
) -> Result<Proved, Missed> {
    run.step("holding clients");
    let hold = ready.traffic.hold(deadline - Instant::now());
    within(deadline, "hold", watch, async {
        hold.await.map_err(because)
    })
    .await?;

    run.step("fencing the source");
    run.control
        .record(Entry::Fencing(ready.before.clone()))
        .await?;
    let raise = raise(follow.source(), ready, deadline);
    let fenced = within(deadline, "fence", watch, async {
        raise.await.map_err(because)
    })
    .await?;
    run.control.moved(Event::WritesFenced).await?;

    run.step("draining to the barrier");
    let drain = drain(run, follow, "barrier");
    let first = within(deadline, "drain", watch, drain).await?;

    let rechecked = recheck(run, ready, watch, deadline).await?;

    run.step("setting sequences");
    let set = sequences::set_and_read_back(run, follow.source());
    let sequences = within(deadline, "sequences", watch, set).await?;

    let last = last_look(run, follow, ready, &first);
    let caught_up = within(deadline, "last look", watch, last).await?;
    Ok(Proved {
        caught_up,
        sequences,
        rechecked,
        fenced,
    })
}

fn because(error: impl std::fmt::Display) -> Missed {
    Missed::Because(error.to_string())
}

async fn raise(
    inside: &mut Session,
    ready: &mut Ready,
    deadline: Instant,
) -> Result<fence::WritesFenced, fence::FenceError> {
    let mut fence = Fence {
        inside,
        outside: &mut ready.outside,
        ours: &ready.ours,
    };
    fence.raise(&ready.before, deadline).await
}

/// Writes a barrier and applies everything up to it.
async fn drain(run: &mut Run<'_>, follow: &mut Follow, name: &str) -> Result<CaughtUp, Error> {
    let barrier = emit(follow.source(), name).await?;
    follow.until(run, Goal::Commit(barrier)).await?;
    let applied = read_applied(run).await?;
    CaughtUp::new(barrier, applied).ok_or_else(|| {
        Error::Internal(format!(
            "the barrier {barrier} was passed, but the target holds {applied}"
        ))
    })
}

/// The position as the target itself holds it: not what we think we wrote.
async fn read_applied(run: &mut Run<'_>) -> Result<Lsn, Error> {
    let doing = "reading the position back";
    let name = run.control.identity().name.clone();
    let progress = trunkline_apply::read_progress(run.control.session(), &name).await;
    let progress = progress.on(Side::Target, doing)?;
    Ok(progress.map_or(Lsn::ZERO, |progress| progress.applied))
}

/// A second barrier: if anything was written after the first, the fence leaks.
async fn last_look(
    run: &mut Run<'_>,
    follow: &mut Follow,
    ready: &mut Ready,
    first: &CaughtUp,
) -> Result<CaughtUp, Missed> {
    let rows_before = follow.rows_applied();
    let second = drain(run, follow, "last look").await?;
    if follow.rows_applied() != rows_before {
        return Err(Missed::Because(format!(
            "rows were written on the source after the barrier at {}: the fence does not hold",
            first.barrier()
        )));
    }
    let mut fence = Fence {
        inside: follow.source(),
        outside: &mut ready.outside,
        ours: &ready.ours,
    };
    fence.still_holds().await.map_err(because)?;
    gates::nothing_parked(run).await?;
    Ok(second)
}

/// Compares once more, with everything at rest, the tables that took the least time before.
async fn recheck(
    run: &Run<'_>,
    ready: &mut Ready,
    watch: &mut Stopwatch,
    deadline: Instant,
) -> Result<Vec<TableVerdict>, Missed> {
    run.step("comparing after the last write");
    let chosen = gates::cheapest(&ready.verified.tables, run.plan.cutover.recheck);
    let list = gates::chosen(&ready.comparisons, &chosen);
    let Some(mut comparer) = ready.comparer.take() else {
        return Ok(Vec::new());
    };
    let compared = within(deadline, "recheck", watch, async {
        comparer.enter(View::Latest).await.map_err(because)?;
        comparer.compare(list, |_| {}).await.map_err(because)
    });
    let verdicts = compared.await?;
    let different: Vec<_> = verdicts.iter().filter(|v| !v.matched()).cloned().collect();
    if different.is_empty() {
        Ok(verdicts)
    } else {
        Err(Missed::Different(different))
    }
}

/// The point of no return, and what follows it. It takes every proof.
async fn switch(
    run: &mut Run<'_>,
    follow: Follow,
    mut ready: Ready,
    proved: Proved,
    mut watch: Stopwatch,
) -> Result<CutoverReport, Error> {
    let Proved {
        caught_up,
        sequences,
        rechecked,
        fenced,
    } = proved;
    let drained = Event::BarrierApplied {
        barrier: caught_up.barrier(),
        applied: caught_up.applied(),
    };
    run.control.moved(drained).await?;
    point_of_no_return(run, &fenced, &caught_up, &sequences).await?;
    let moved = move_clients(run, &ready.traffic).await;
    watch.lap("switch");
    let pause = watch.total();
    // The slot is free once the follower is gone; what it read is applied and durable.
    let closed = follow.close().await;
    let source_after = fence::relax_after_switch(&mut ready.outside, &ready.before).await;
    moved?;
    if let Err(error) = closed {
        tracing::warn!(%error, "the stream did not end in order");
    }
    let source_after = source_after.unwrap_or(AfterSwitch::Closed);
    Ok(report(
        run,
        &ready.verified,
        Some(&caught_up),
        &rechecked,
        sequences.counts(),
        &watch,
        pause,
    )
    .switched(source_after))
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

/// Points clients to the target and lets them go on. May be called again after a crash.
async fn move_clients(run: &Run<'_>, traffic: &Traffic) -> Result<(), Error> {
    /// After the point of no return clients wait for this: it gets the time that it needs.
    const PATIENCE: Duration = Duration::from_mins(1);
    run.step("moving clients");
    let moved = async {
        traffic.switch(PATIENCE).await?;
        traffic.release(Direction::Target, PATIENCE).await?;
        traffic.verify(PATIENCE).await
    };
    moved.await.map_err(|error| Error::PastNoReturn {
        why: error.to_string(),
        hint: "the target holds everything and serves: point the clients there, or run \
               `trunkline cutover` again to repeat the switch"
            .to_owned(),
    })
}

/// After a crash behind the point of no return: the rest of the switch.
pub(crate) async fn finish(run: &mut Run<'_>) -> Result<AfterSwitch, Error> {
    move_clients(run, &traffic(run)).await?;
    let Some(before) = run.control.state().fence.clone() else {
        return Ok(AfterSwitch::Closed);
    };
    let mut outside = outside(run).await?;
    Ok(fence::relax_after_switch(&mut outside, &before).await?)
}

/// Before the point of no return: the fence is lifted and clients go on at the source.
pub(crate) async fn give_back(run: &mut Run<'_>) -> Result<(), Error> {
    run.step("giving the source back");
    if let Some(before) = run.control.state().fence.clone() {
        lift_patiently(run, &before).await?;
        run.control.moved(Event::FenceLifted).await?;
    }
    let patience = run.plan.cutover.max_pause.max(Duration::from_secs(10));
    let released = traffic(run).release(Direction::Source, patience).await;
    released.map_err(|error| Error::FenceStands {
        why: format!("the fence is lifted, but clients are still held: {error}"),
    })
}

async fn lift_patiently(run: &Run<'_>, before: &FenceBefore) -> Result<(), Error> {
    let mut backoff = Backoff::for_connecting();
    loop {
        let lifted = async {
            let mut outside = outside(run).await?;
            fence::lift(&mut outside, before).await?;
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

async fn give_up(
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
    give_back(run).await?;
    watch.lap("give back");
    let pause = watch.total();
    let mut report = report(
        run,
        &verified,
        None,
        &[],
        SequenceCounts::default(),
        &watch,
        pause,
    )
    .aborted(&why);
    if !differences.is_empty() {
        run.control
            .moved(Event::FoundDifferent {
                at: verified.barrier_lsn,
            })
            .await?;
    }
    report.differences = differences;
    Err(Error::CutoverAborted {
        why,
        report: Box::new(report),
    })
}

fn report(
    run: &Run<'_>,
    verified: &VerifyReport,
    caught_up: Option<&CaughtUp>,
    rechecked: &[TableVerdict],
    sequences: SequenceCounts,
    watch: &Stopwatch,
    pause: Duration,
) -> CutoverReport {
    let again = |name| rechecked.iter().find(|verdict| verdict.table == name);
    let table = |verdict: &TableVerdict| {
        let again = again(verdict.table.clone());
        CutoverTable {
            table: verdict.table.clone(),
            rows: again.unwrap_or(verdict).source_rows,
            verified_at: match (again, caught_up) {
                (Some(_), Some(caught_up)) => caught_up.barrier(),
                _ => verified.barrier_lsn,
            },
            rechecked: again.is_some(),
        }
    };
    CutoverReport {
        schema_version: SCHEMA_VERSION,
        migration: run.control.identity().name.clone(),
        outcome: CutoverOutcome::Aborted,
        barrier_lsn: caught_up.map(CaughtUp::barrier),
        applied_lsn: caught_up.map(CaughtUp::applied),
        pause_ms: pause.as_secs_f64() * 1000.0,
        steps: watch.steps(),
        sequences,
        tables: verified.tables.iter().map(table).collect(),
        differences: Vec::new(),
        parked_changes: 0,
        source_after: None,
        reason: None,
        next_steps: next_steps(run.control.state().phase, false),
    }
}

impl CutoverReport {
    fn switched(mut self, source_after: AfterSwitch) -> Self {
        self.outcome = CutoverOutcome::Switched;
        self.source_after = Some(source_after);
        self.next_steps = next_steps(Phase::Switched, false);
        self
    }

    fn aborted(mut self, why: &str) -> Self {
        self.reason = Some(why.to_owned());
        self
    }
}
