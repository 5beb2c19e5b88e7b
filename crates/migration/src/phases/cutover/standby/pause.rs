//! Inside the pause: the source is fenced, the standby replays the last of it, and is
//! promoted. Whatever can be seen before the promotion is seen before it.

use std::collections::HashSet;

use tokio::time::Instant;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_load::{
    LoadError, Scope, Unowned, list_sequences, read_sequence_positions, set_sequences,
};
use trunkline_postgres::{OnSide, PgError, Session};

use super::super::consumers;
use super::super::pause::{Missed, Proved, because, raise, recheck, smoke_tests, within};
use super::super::proof::{CaughtUp, SequencesSet};
use super::super::stopwatch::Stopwatch;
use super::super::{Extent, Ready, sequences, unstreamed};
use super::Hands;
use crate::alone::SequenceOutcome;
use crate::alone::sequences as positions;
use crate::downstream::{self, HandedOver};
use crate::error::Error;
use crate::fence::{self, Fence, FenceEvidence, WritesFenced};
use crate::journal::Entry;
use crate::limits::{PROMOTE_AT_LEAST, REPLAY_LOOK};
use crate::phase::Event;
use crate::phases::verifying::emit;
use crate::phases::way_back;
use crate::run::Run;
use crate::smoke::SmokeOutcome;
use crate::standby::metric::until_in_sync;
use crate::standby::{StandbyLook, written};
use crate::way::Way;

/// What is known of the source at rest and of a standby that holds all of it.
struct AtRest {
    fenced: WritesFenced,
    evidence: FenceEvidence,
    caught_up: CaughtUp,
    sequences: SequencesSet,
    rechecked: Vec<trunkline_verify::TableVerdict>,
}

/// What was done on the promoted standby.
#[derive(Default)]
struct OnTarget {
    smoke: Vec<SmokeOutcome>,
    handed_over: Vec<HandedOver>,
    onwards: Option<Lsn>,
}

pub(super) async fn pause(
    run: &mut Run<'_>,
    hands: &mut Hands,
    ready: &mut Ready,
    watch: &mut Stopwatch,
    deadline: Instant,
) -> Result<Proved, Missed> {
    let at_rest = come_to_rest(run, hands, ready, watch, deadline).await?;
    let on_target = if ready.extent == Extent::Switch {
        promote(run, hands, ready, &at_rest, watch, deadline).await?;
        settle_in(run, hands, ready, &at_rest, watch, deadline).await?
    } else {
        OnTarget::default()
    };
    Ok(Proved {
        caught_up: at_rest.caught_up,
        sequences: at_rest.sequences,
        rechecked: at_rest.rechecked,
        fenced: at_rest.fenced,
        evidence: at_rest.evidence,
        smoke: on_target.smoke,
        handed_over: on_target.handed_over,
        onwards: on_target.onwards,
    })
}

/// Nobody writes on the source, and the standby holds everything that was written.
async fn come_to_rest(
    run: &mut Run<'_>,
    hands: &mut Hands,
    ready: &mut Ready,
    watch: &mut Stopwatch,
    deadline: Instant,
) -> Result<AtRest, Missed> {
    let side = Side::Source;
    // Written before clients are held, so that whoever comes after a crash lets them go.
    let intent = run.control.record(Entry::Fencing {
        side,
        before: ready.before.clone(),
    });
    within(deadline, "journal", watch, intent).await?;

    run.step("holding clients");
    let traffic = &run.plan.cutover.traffic;
    let hold = traffic.hold(side, deadline - Instant::now());
    let hold = async { hold.await.map_err(because) };
    within(deadline, "hold", watch, hold).await?;

    run.step("fencing the side that serves");
    let raise = raise(run, &mut hands.inside, ready, deadline);
    let raise = async { raise.await.map_err(because) };
    let fenced = within(deadline, "fence", watch, raise).await?;
    let fenced_entry = run.control.moved(Event::WritesFenced);
    within(deadline, "journal", watch, fenced_entry).await?;

    run.step("draining to the barrier");
    let replayed = replay_barrier(&mut hands.inside, &mut ready.to);
    let caught_up = within(deadline, "drain", watch, replayed).await?;

    let lag_command = run
        .plan
        .route
        .replica()
        .and_then(|plan| plan.lag_command.as_deref());
    if let Some(command) = lag_command {
        run.step("waiting until the lag metric has come to rest");
        let in_sync = async { until_in_sync(run.plan, command).await.map_err(because) };
        within(deadline, "lag metric", watch, in_sync).await?;
    }

    let rechecked = recheck(run, ready, watch, deadline).await?;

    run.step("comparing sequences");
    let sequences = not_behind(run, &mut hands.inside, &mut ready.to);
    let sequences = within(deadline, "sequences", watch, sequences).await?;

    let last = last_look(run, hands, ready, &fenced);
    let evidence = within(deadline, "last look", watch, last).await?;
    Ok(AtRest {
        fenced,
        evidence,
        caught_up,
        sequences,
        rechecked,
    })
}

/// Writes a barrier on the source and waits until the standby has replayed it.
async fn replay_barrier(source: &mut Session, standby: &mut Session) -> Result<CaughtUp, Missed> {
    // Its commit brings all commits before it to the disk, whatever those waited for.
    emit(source, Side::Source, "barrier").await?;
    let barrier = written(source).await?;
    loop {
        let look = StandbyLook::read(standby).await?;
        let Some(replayed) = look.replayed.filter(|_| look.is_standby) else {
            return Err(Missed::Because(
                "the target is not a standby any more".to_owned(),
            ));
        };
        if let Some(caught_up) = CaughtUp::new(barrier, replayed) {
            return Ok(caught_up);
        }
        tokio::time::sleep(REPLAY_LOOK).await;
    }
}

/// No sequence of the standby would give out a number again. It may be ahead: a sequence
/// writes to the log up to 32 numbers before it gives them out.
async fn not_behind(
    run: &Run<'_>,
    source: &mut Session,
    standby: &mut Session,
) -> Result<SequencesSet, Missed> {
    let scope = &run.plan.scope;
    let found = positions::compare(source, standby, scope, Unowned::BySchema).await?;
    // Those of unlogged tables are set behind the promotion.
    let mut errors = found.errors.iter();
    if let Some(error) = errors.find(|error| !error.is_unlogged_on_standby()) {
        return Err(because(format!(
            "a sequence could not be compared: {}",
            error.why
        )));
    }
    let names = found.differences.iter();
    let behind: Vec<String> = names
        .filter(|difference| difference.outcome != SequenceOutcome::Ahead)
        .map(|difference| difference.sequence.to_string())
        .collect();
    SequencesSet::new(found.compared, &behind)
        .ok_or_else(|| because(format!("sequences are behind: {}", behind.join(", "))))
}

async fn last_look(
    run: &Run<'_>,
    hands: &mut Hands,
    ready: &mut Ready,
    fenced: &WritesFenced,
) -> Result<FenceEvidence, Missed> {
    let mut fence = Fence {
        side: Side::Source,
        inside: &mut hands.inside,
        outside: &mut ready.outside,
        ours: &ready.ours,
        conninfo: run.plan.server(Side::Source),
    };
    fence.still_holds(fenced).await.map_err(because)
}

/// From here on the standby has a history of its own.
async fn promote(
    run: &mut Run<'_>,
    hands: &mut Hands,
    ready: &mut Ready,
    at_rest: &AtRest,
    watch: &mut Stopwatch,
    deadline: Instant,
) -> Result<(), Missed> {
    let left = deadline - Instant::now();
    if left < PROMOTE_AT_LEAST {
        // What is begun cannot be taken back.
        return Err(Missed::Deadline("before the promotion"));
    }
    let drained = run.control.moved(Event::BarrierApplied {
        barrier: at_rest.caught_up.barrier(),
        applied: at_rest.caught_up.applied(),
    });
    within(deadline, "journal", watch, drained).await?;
    let intent = run.control.record(Entry::Fencing {
        side: Side::Target,
        before: hands.target_before.clone(),
    });
    within(deadline, "journal", watch, intent).await?;
    run.step("promoting the standby");
    let promoted = promoted(&mut ready.to, left.as_secs());
    within(deadline, "promotion", watch, promoted).await?;
    let (outside, before) = (&mut hands.outside_target, &hands.target_before);
    let opened = async {
        let opened = fence::let_ourselves_in(outside, Side::Target, before).await;
        opened.map_err(because)
    };
    within(deadline, "opening", watch, opened).await.map(drop)
}

async fn promoted(standby: &mut Session, seconds: u64) -> Result<(), Missed> {
    let (side, doing) = (Side::Target, "promoting the standby");
    let seconds = i32::try_from(seconds.max(1)).unwrap_or(i32::MAX);
    let sql = "SELECT pg_catalog.pg_promote(true, $1::integer)";
    let row = standby.query_one(sql, &[&seconds]).await;
    let row = row.on(side, doing).map_err(Error::from)?;
    let done: bool = row.get(0).on(side, doing).map_err(Error::from)?;
    if !done || StandbyLook::read(standby).await?.is_standby {
        return Err(Missed::Because(
            "the standby was not promoted in time".to_owned(),
        ));
    }
    Ok(())
}

/// What must be there before a client writes on the promoted server.
async fn settle_in(
    run: &mut Run<'_>,
    hands: &mut Hands,
    ready: &mut Ready,
    at_rest: &AtRest,
    watch: &mut Stopwatch,
    deadline: Instant,
) -> Result<OnTarget, Missed> {
    let way = Way::There;
    if let Some(tables) = hands.back.take() {
        run.step("preparing the way back");
        let leg = way_back::prepare_leg(run, tables);
        within(deadline, "way back", watch, leg).await?;
    }
    run.step("copying what is not in the log");
    let (from, to) = (&mut hands.inside, &mut ready.to);
    let unlogged = unstreamed::carry_over(run, way, from, to, &ready.unlogged);
    within(deadline, "not logged", watch, unlogged).await?;
    let (from, to) = (&mut hands.inside, &mut ready.to);
    let unlogged = unlogged_sequences(&run.plan.scope, from, to);
    within(deadline, "not logged", watch, unlogged).await?;

    let barrier = at_rest.caught_up.barrier();
    let handed_over = hand_over(run, hands, ready, barrier);
    let handed_over = within(deadline, "other consumers", watch, handed_over).await?;

    run.step("smoke tests");
    let smoke = smoke_tests(run, way, deadline);
    let smoke = within(deadline, "smoke tests", watch, smoke).await?;
    let onwards = way_back::onwards(run, &mut ready.to);
    let onwards = within(deadline, "way back", watch, onwards).await?;
    Ok(OnTarget {
        smoke,
        handed_over,
        onwards,
    })
}

/// Sequences that unlogged tables own are unlogged too, from version 15 on: a standby has them as
/// they were made.
async fn unlogged_sequences(
    scope: &Scope,
    from: &mut Session,
    to: &mut Session,
) -> Result<(), Missed> {
    let (source, target) = (Side::Source, Side::Target);
    let sql = "SELECT n.nspname::text, c.relname::text \
                 FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                WHERE c.relkind = 'S' AND c.relpersistence = 'u'";
    let doing = "looking for unlogged sequences";
    let rows = from
        .query(sql, &[])
        .await
        .on(source, doing)
        .map_err(because)?;
    let names: Result<HashSet<TableName>, PgError> =
        rows.iter().map(|row| row.table_name(0, 1)).collect();
    let names = names.on(source, doing).map_err(because)?;
    if names.is_empty() {
        return Ok(());
    }
    let carried = async {
        let mut ours = list_sequences(from, source, scope, Unowned::BySchema).await?;
        ours.retain(|sequence| names.contains(&sequence.name));
        read_sequence_positions(from, source, &mut ours).await?;
        set_sequences(to, target, &ours).await?;
        let mut found = ours.clone();
        read_sequence_positions(to, target, &mut found).await?;
        Ok::<_, LoadError>((ours, found))
    };
    let (ours, found) = carried.await.map_err(because)?;
    sequences::read_back(&ours, &found).map(drop)
}

/// Makes the slots of other consumers again: those of the source did not come along.
async fn hand_over(
    run: &mut Run<'_>,
    hands: &mut Hands,
    ready: &mut Ready,
    barrier: Lsn,
) -> Result<Vec<HandedOver>, Error> {
    if hands.slots.is_empty() {
        return Ok(Vec::new());
    }
    let made = Entry::MakingDownstream(hands.slots.clone());
    run.control.record(made).await?;
    downstream::make(&mut ready.to, Side::Target, &hands.slots).await?;
    let (way, from, to) = (Way::There, &mut hands.inside, &mut ready.to);
    consumers::hand_over(run, (way, ready.extent), from, to, barrier).await
}
