//! Inside the pause: every step draws on one budget of time, and each proof is made here.

use tokio::time::Instant;
use trunkline_changes::Lsn;
use trunkline_postgres::Session;
use trunkline_verify::{TableVerdict, View};

use super::proof::{CaughtUp, SequencesSet};
use super::stopwatch::Stopwatch;
use super::{Ready, consumers, gates, sequences, unstreamed};
use crate::downstream::HandedOver;
use crate::error::Error;
use crate::fence::{self, Fence, FenceEvidence};
use crate::follow::{Follow, Goal};
use crate::journal::Entry;
use crate::phase::Event;
use crate::phases::verifying::emit;
use crate::phases::way_back;
use crate::run::Run;
use crate::shell::Scene;
use crate::smoke::{Moment, Probe, SmokeFailure, SmokeOutcome, SmokeTest, run_smoke};
use crate::way::Way;

/// What the pause showed.
pub(super) struct Proved {
    pub(super) caught_up: CaughtUp,
    pub(super) sequences: SequencesSet,
    pub(super) rechecked: Vec<TableVerdict>,
    pub(super) fenced: fence::WritesFenced,
    pub(super) evidence: FenceEvidence,
    pub(super) smoke: Vec<SmokeOutcome>,
    pub(super) handed_over: Vec<HandedOver>,
    /// Where on the other side changes of its clients begin, if they are to flow back.
    pub(super) onwards: Option<Lsn>,
}

/// Why the pause was given up.
pub(super) enum Missed {
    /// The time was over.
    Deadline(&'static str),
    /// Something that must hold does not.
    Because(String),
    /// The two sides differ.
    Different(Vec<TableVerdict>),
    /// A smoke test failed.
    Smoke(SmokeFailure),
    /// Nothing was missed, and no more than this was asked for.
    Rehearsed(Box<Proved>),
}

impl From<Error> for Missed {
    fn from(error: Error) -> Self {
        Missed::Because(error.to_string())
    }
}

/// One step of the pause, within what is left of it.
pub(super) async fn within<T, E: Into<Missed>>(
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

pub(super) async fn pause(
    run: &mut Run<'_>,
    follow: &mut Follow,
    ready: &mut Ready,
    watch: &mut Stopwatch,
    deadline: Instant,
) -> Result<Proved, Missed> {
    let way = ready.way;
    // Written before clients are held, so that whoever comes after a crash lets them go.
    let intent = run.control.record(Entry::Fencing {
        side: way.from(),
        before: ready.before.clone(),
    });
    within(deadline, "journal", watch, intent).await?;

    run.step("holding clients");
    let traffic = &run.plan.cutover.traffic;
    let hold = traffic.hold(way.from(), deadline - Instant::now());
    within(deadline, "hold", watch, async {
        hold.await.map_err(because)
    })
    .await?;

    run.step("fencing the side that serves");
    let raise = raise(run, follow.from(), ready, deadline);
    let fenced = within(deadline, "fence", watch, async {
        raise.await.map_err(because)
    })
    .await?;
    let fenced_entry = run.control.moved(Event::WritesFenced);
    within(deadline, "journal", watch, fenced_entry).await?;
    let same_tables = same_tables(follow.from(), ready);
    within(deadline, "tables", watch, same_tables).await?;

    run.step("draining to the barrier");
    let drain = drain(run, follow, &mut ready.to, "barrier");
    let first = within(deadline, "drain", watch, drain).await?;

    run.step("copying what is not streamed");
    let (from, to) = (follow.from(), &mut ready.to);
    let unstreamed = unstreamed::carry_over(run, way, from, to, &ready.unlogged);
    within(deadline, "not streamed", watch, unstreamed).await?;

    let rechecked = recheck(run, ready, watch, deadline).await?;

    run.step("setting sequences");
    let (from, to) = (follow.from(), &mut ready.to);
    let set = sequences::set_and_read_back(run, way, from, to, &ready.layout);
    let sequences = within(deadline, "sequences", watch, set).await?;

    run.step("smoke tests");
    let smoke = smoke_tests(run, way, deadline);
    let smoke = within(deadline, "smoke tests", watch, smoke).await?;

    let last = last_look(run, follow, ready, &first, &fenced);
    let (caught_up, evidence) = within(deadline, "last look", watch, last).await?;
    let (from, to) = (follow.from(), &mut ready.to);
    let handed_over = consumers::hand_over(run, (way, ready.extent), from, to, caught_up.barrier());
    let handed_over = within(deadline, "other consumers", watch, handed_over).await?;
    if follow.is_native() {
        let silent = follow.fall_silent(&mut ready.to);
        within(deadline, "subscription", watch, silent).await?;
    }
    let onwards = way_back::onwards(run, &mut ready.to);
    let onwards = within(deadline, "way back", watch, onwards).await?;
    let drained = run.control.moved(Event::BarrierApplied {
        barrier: caught_up.barrier(),
        applied: caught_up.applied(),
    });
    within(deadline, "journal", watch, drained).await?;
    Ok(Proved {
        caught_up,
        sequences,
        rechecked,
        fenced,
        evidence,
        smoke,
        handed_over,
        onwards,
    })
}

/// Behind the fence nobody makes tables any more.
async fn same_tables(from: &mut Session, ready: &Ready) -> Result<(), Missed> {
    let changed = ready.then.changed(from, ready.way.from()).await?;
    changed.map_or(Ok(()), |why| Err(Missed::Because(why)))
}

/// What the operator wants to see of the side that is to serve. While that is closed to
/// others, as after a rollback, only we can look.
pub(super) async fn smoke_tests(
    run: &Run<'_>,
    way: Way,
    deadline: Instant,
) -> Result<Vec<SmokeOutcome>, Missed> {
    let plan = run.plan;
    let closed = run.control.state().fence(way.to()).is_some();
    let possible = |test: &&SmokeTest| !closed || matches!(test.probe, Probe::Sql(_));
    let tests: Vec<SmokeTest> = plan
        .cutover
        .smoke
        .iter()
        .filter(possible)
        .cloned()
        .collect();
    let (moment, conninfo) = (Moment::BeforeSwitch, plan.server(way.to()));
    run_smoke(
        &tests,
        moment,
        way.to(),
        conninfo,
        &Scene::of(plan),
        deadline,
    )
    .await
    .map_err(Missed::Smoke)
}

pub(super) fn because(error: impl std::fmt::Display) -> Missed {
    Missed::Because(error.to_string())
}

pub(super) async fn raise(
    run: &Run<'_>,
    inside: &mut Session,
    ready: &mut Ready,
    deadline: Instant,
) -> Result<fence::WritesFenced, fence::FenceError> {
    let mut fence = Fence {
        side: ready.way.from(),
        inside,
        outside: &mut ready.outside,
        ours: &ready.ours,
        conninfo: run.plan.server(ready.way.from()),
    };
    fence.raise(&ready.before, deadline).await
}

/// Writes a barrier and applies everything up to it.
async fn drain(
    run: &mut Run<'_>,
    follow: &mut Follow,
    to: &mut Session,
    name: &str,
) -> Result<CaughtUp, Error> {
    let way = follow.leg().way;
    let barrier = emit(follow.from(), way.from(), name).await?;
    follow.until(run, Goal::Commit(barrier)).await?;
    let applied = follow.read_back(run, to).await?;
    CaughtUp::new(barrier, applied).ok_or_else(|| {
        Error::Internal(format!(
            "the barrier {barrier} was passed, but the {} holds {applied}",
            way.to()
        ))
    })
}

/// A second barrier: if anything was written after the first, the fence leaks.
async fn last_look(
    run: &mut Run<'_>,
    follow: &mut Follow,
    ready: &mut Ready,
    first: &CaughtUp,
    fenced: &fence::WritesFenced,
) -> Result<(CaughtUp, FenceEvidence), Missed> {
    let way = ready.way;
    let changes_before = follow.changes_seen();
    let second = drain(run, follow, &mut ready.to, "last look").await?;
    if follow.changes_seen() != changes_before {
        return Err(Missed::Because(format!(
            "rows were written on the {} after the barrier at {}: the fence does not hold",
            way.from(),
            first.barrier()
        )));
    }
    let mut fence = Fence {
        side: way.from(),
        inside: follow.from(),
        outside: &mut ready.outside,
        ours: &ready.ours,
        conninfo: run.plan.server(way.from()),
    };
    let evidence = fence.still_holds(fenced).await.map_err(because)?;
    gates::none_parked(run, &mut ready.to, way.to()).await?;
    Ok((second, evidence))
}

/// Compares once more, with everything at rest, the tables that took the least time before.
pub(super) async fn recheck(
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
    let verdicts = compared.await?.verdicts;
    let different: Vec<_> = verdicts.iter().filter(|v| !v.matched()).cloned().collect();
    if different.is_empty() {
        Ok(verdicts)
    } else {
        Err(Missed::Different(different))
    }
}
