//! Verified → Fenced → Drained → Switched, and the same in the other direction: Switched →
//! `FencedBack` → `DrainedBack` → `RolledBack`. The moment that must not go wrong quietly.
//!
//! Needs: a follower near the side that serves, nothing parked, no difference. Does, in order:
//! prepare the way back, hold clients, fence the side that serves, write a barrier, apply up
//! to it, compare once more what time allows, set every sequence and read it back, write a
//! second barrier and see that nothing came between the two, journal the point of no return,
//! switch, release. Looks: the journal. Undone, before the point of no return: [`give_back`];
//! after it: never, only finished ([`finish`]).

pub(crate) mod consumers;
mod gates;
mod giving_back;
mod moving;
mod pause;
mod proof;
pub(crate) mod sequences;
pub(crate) mod standby;
mod stopwatch;
mod summary;
mod tables_then;
mod unstreamed;

pub(crate) use giving_back::{give_back, give_back_alone};
pub(crate) use moving::{finish, move_clients};

use tokio::time::Instant;
use trunkline_changes::Side;
use trunkline_load::Layout;
use trunkline_postgres::{Backoff, OnSide, PgError, Session};
use trunkline_verify::{Comparer, Comparison};

use crate::baseline::{self, Reach};
use crate::error::Error;
use crate::fence::{self, FenceBefore};
use crate::follow::{Follow, Goal};
use crate::journal::Entry;
use crate::limits::{
    LOOK_AT_TRAFFIC_WITHIN, NO_RETURN_ANSWERED_WITHIN, RECONNECT_FIRST, RECONNECT_PAUSE,
};
use crate::observer::Notice;
use crate::phase::Event;
use crate::phases::verifying::{self, Selection};
use crate::phases::way_back;
use crate::plan::WayBack;
use crate::report::{CutoverReport, VerifyReport};
use crate::run::Run;
use crate::way::Way;
use giving_back::give_up;
use pause::{Missed, Proved, pause};
use stopwatch::Stopwatch;
use tables_then::TablesThen;
use unstreamed::Closely;

/// How far a cutover goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To the switch.
    Switch,
    /// Up to the switch, measured; then the side that serves is given back to its clients.
    Rehearse,
}

/// Everything that must be open before the door closes.
struct Ready {
    way: Way,
    extent: Extent,
    /// On the server of the side that serves, in another database.
    outside: Session,
    /// On the side that is to serve.
    to: Session,
    /// Taken for the comparison inside the pause.
    comparer: Option<Comparer>,
    comparisons: Vec<Comparison>,
    unlogged: Vec<unstreamed::Unlogged>,
    /// What stands for what.
    layout: Layout,
    before: FenceBefore,
    verified: VerifyReport,
    /// The tables of the side that serves when the comparison began.
    then: TablesThen,
    /// Our own sessions in the database of the side that serves.
    ours: Vec<i32>,
}

/// Takes back what a switch that died before its point of no return had begun: clients get
/// their side back, and a standby that was about to be promoted is looked at.
pub(crate) async fn take_back_interrupted(run: &mut Run<'_>) -> Result<(), Error> {
    if run.control.state().is_pausing() {
        give_back(run).await?;
    }
    standby::settle(run).await
}

/// Moves the clients to the other side, or gives the side that serves back and says why.
pub(crate) async fn cutover(
    run: &mut Run<'_>,
    mut follow: Follow,
    extent: Extent,
) -> Result<CutoverReport, Error> {
    let way = follow.leg().way;
    look_first(run, &mut follow, way).await?;
    let then = TablesThen::read(run, &mut follow).await?;
    let verified = verifying::verify(run, &mut follow, &Selection::All).await?;
    if !verified.equal {
        let names = verified
            .differences
            .iter()
            .map(|verdict| verdict.table.to_string());
        return Err(Error::Differences(names.collect()));
    }
    gates::other_side_is_complete(run, way).await?;
    // Behind the comparison of the tables, which may take hours: what is written to one later is
    // not seen.
    unstreamed::same_large_objects(run, way, follow.from(), Closely::Read).await?;
    let mut ready = match make_ready(run, &mut follow, (verified, then), extent).await {
        Ok(ready) => ready,
        Err(error) => {
            take_back_prepared(run).await;
            return Err(error);
        }
    };
    if let Err(error) = come_near(run, &mut follow, &mut ready).await {
        take_back_prepared(run).await;
        return Err(error);
    }
    let mut watch = Stopwatch::start();
    let deadline = Instant::now() + run.plan.cutover.max_pause;
    let proved = pause(run, &mut follow, &mut ready, &mut watch, deadline).await;
    match proved {
        Ok(proved) if extent == Extent::Switch => {
            switch(run, Some(follow), ready, proved, watch).await
        }
        Ok(proved) => {
            drop(follow);
            give_up(run, ready, watch, Missed::Rehearsed(Box::new(proved))).await
        }
        Err(why) => {
            // The follower may have been left inside of a transaction: it is dropped as it is.
            drop(follow);
            give_up(run, ready, watch, why).await
        }
    }
}

/// The last steps before the pause: near, and with nothing left to read for other consumers.
async fn come_near(run: &mut Run<'_>, follow: &mut Follow, ready: &mut Ready) -> Result<(), Error> {
    let near = Goal::Near(run.plan.cutover.max_lag_bytes);
    follow.until(run, near).await?;
    follow.stay_live();
    ready.ours.extend(follow.asking_process());
    consumers::catch_up(run, ready).await?;
    // Rights may have gone during the comparison.
    gates::may_be_fenced(follow.from(), ready.way.from()).await?;
    tables_then::refuse_others(run, follow, ready).await?;
    if ready.way == Way::Back {
        // What is about to be closed holds the journal.
        let source = run.plan.server(Side::Source);
        run.control.go_away(source, ready.before.clone()).await?;
    }
    Ok(())
}

/// Before the pause nothing was held: what was made for it is taken away again, because a
/// slot that nobody reads keeps its server's log.
async fn take_back_prepared(run: &mut Run<'_>) {
    if let Err(left) = way_back::give_up(run).await {
        tracing::warn!(%left, "what the way back needed is taken away later");
    }
}

/// What can be known before the long comparison: that nothing stands in the way.
async fn look_first(run: &mut Run<'_>, follow: &mut Follow, way: Way) -> Result<(), Error> {
    // What a switch that was given up left, if its end was not reached.
    way_back::give_up(run).await?;
    way_back::refuse_impossible(run).await?;
    gates::may_be_fenced(follow.from(), way.from()).await?;
    gates::nothing_parked(run, way.to()).await?;
    unstreamed::same_large_objects(run, way, follow.from(), Closely::Counted).await?;
    look_at_clients(run, follow.from(), way).await
}

/// The side that serves can be kept closed, and its clients can be moved.
async fn look_at_clients(run: &Run<'_>, from: &mut Session, way: Way) -> Result<(), Error> {
    if run.plan.cutover.way_back == WayBack::Open {
        let may = fence::may_stand(from, way.from()).await;
        let bound = may.map_err(|error| Error::Refused {
            why: format!(
                "the {} could not be kept closed after the switch: {error}",
                way.from()
            ),
            hint: "mend what is named; or give the way back up with --no-way-back".to_owned(),
        })?;
        warn_of_superusers(run, way, &bound);
    }
    let traffic = &run.plan.cutover.traffic;
    let looked = traffic.look(way.from(), LOOK_AT_TRAFFIC_WITHIN).await;
    looked.map_err(|error| Error::Refused {
        why: error.to_string(),
        hint: "nothing was held: mend it, then run this again".to_owned(),
    })
}

/// A superuser's session is ended like any other, and may come back; then only the
/// database's default keeps it from writing.
fn warn_of_superusers(run: &Run<'_>, way: Way, bound: &fence::BoundByDefault) {
    for session in &bound.superusers {
        let warning = format!(
            "{} is a superuser: on the {} it can come in after the switch too, where \
             default_transaction_read_only keeps it from writing unless it says otherwise",
            session.user,
            way.from()
        );
        run.observer.notice(Notice::Warning(&warning));
    }
}

/// What the application's statements take on the source, to be held against what they take
/// on the target later.
async fn note_latencies(run: &mut Run<'_>, from: &mut Session, way: Way) -> Result<(), Error> {
    if way == Way::There
        && let Some(seen) = baseline::busiest(from, way.from(), Reach::Busiest).await?
    {
        run.control.record(Entry::Baseline(seen)).await?;
    }
    Ok(())
}

async fn make_ready(
    run: &mut Run<'_>,
    follow: &mut Follow,
    (verified, then): (VerifyReport, TablesThen),
    extent: Extent,
) -> Result<Ready, Error> {
    let way = follow.leg().way;
    way_back::prepare(run).await?;
    consumers::make(run, follow, way).await?;
    run.step("preparing the switch");
    note_latencies(run, follow.from(), way).await?;
    let standing = run.tables_and_places(way).await?;
    let comparisons = verifying::comparisons(run.plan, &standing, &Selection::All);
    let mut comparer = verifying::connect_comparer(run, way, run.plan.copy.jobs).await?;
    comparer.study(&comparisons).await?;
    // Those of a relay are another server's: the same numbers may be anybody's here.
    let on_relay = run.plan.relay_of(way.from()).is_some();
    let mut ours = if on_relay {
        Vec::new()
    } else {
        comparer.process_ids()
    };
    ours.push(follow.from().process_id());
    if way == Way::Back {
        ours.push(run.control.session()?.process_id());
    }
    let outside = outside(run, way.from()).await?;
    ours.push(outside.process_id());
    let mut to = run.connect(way.to(), "switch").await?;
    let (from, layout) = (follow.from(), standing.layout());
    sequences::set_ahead(run, way, from, &mut to, layout).await?;
    Ok(Ready {
        way,
        extent,
        outside,
        to,
        before: fence::settings_before(follow.from(), way.from()).await?,
        comparisons,
        unlogged: unstreamed::unlogged_tables(&standing),
        layout: standing.layout().clone(),
        comparer: Some(comparer),
        verified,
        then,
        ours,
    })
}

/// A session on one side's server that its closed database does not lock out. Where the
/// maintenance database does not take us, one in the database itself: the fence is then as
/// firm as it can be made from inside.
pub(crate) async fn outside(run: &Run<'_>, side: Side) -> Result<Session, Error> {
    let maintenance = &run.plan.cutover.maintenance_database;
    let conninfo = run.plan.server(side).with_database(maintenance);
    let doing = format!("connecting to the maintenance database {maintenance}");
    match Session::connect(&conninfo, "fence").await {
        Err(error) if is_not_for_us(&error) => {
            tracing::warn!(%error, "the maintenance database does not take us");
            run.connect(side, "fence").await
        }
        session => Ok(session.on(side, doing)?),
    }
}

/// There is no such database (3D000), or it is closed to our role (28000, 42501) or to
/// everyone (55000).
fn is_not_for_us(error: &PgError) -> bool {
    error
        .sqlstate()
        .is_some_and(|state| ["3D000", "28000", "42501", "55000"].contains(&state.as_str()))
}

/// The point of no return, and what follows it.
async fn switch(
    run: &mut Run<'_>,
    follow: Option<Follow>,
    ready: Ready,
    proved: Proved,
    mut watch: Stopwatch,
) -> Result<CutoverReport, Error> {
    let entered = point_of_no_return(run, &proved);
    let entered = tokio::time::timeout(NO_RETURN_ANSWERED_WITHIN, entered).await;
    let entered = entered.unwrap_or_else(|_| Err(Error::internal(&"no answer in time")));
    if let Err(error) = entered
        && let NotEntered::No = settle(run, ready.way).await?
    {
        drop(follow);
        return give_up(run, ready, watch, Missed::Because(error.to_string())).await;
    }
    let moved = moving::move_clients(run).await;
    watch.lap("switch");
    let pause = watch.total();
    // The slot is free once the follower is gone; what it read is applied and durable.
    if let Some(follow) = follow
        && let Err(error) = follow.close(run).await
    {
        tracing::warn!(%error, "the stream did not end in order");
    }
    let Ready {
        outside, verified, ..
    } = ready;
    let after = moving::stand_behind(run, outside).await;
    moved?;
    let smoke = moving::look_after(run).await;
    Ok(summary::switched(
        run, &verified, &proved, &watch, pause, after, smoke,
    ))
}

/// Nothing can call this without having seen the side that serves fenced, the barrier applied
/// and the sequences set.
async fn point_of_no_return(run: &mut Run<'_>, proved: &Proved) -> Result<(), Error> {
    let Proved {
        fenced: _,
        caught_up: _,
        sequences: _,
        onwards,
        ..
    } = proved;
    run.control
        .moved(Event::ClientsMoved { onwards: *onwards })
        .await
}

/// What the journal says of the point of no return.
enum NotEntered {
    /// It was passed: the entry is there.
    Passed,
    /// It was not.
    No,
}

/// The journal's answer was lost or does not come: whether the entry is there is read back,
/// for as long as that takes. Until then clients stay held, because either answer may be true.
async fn settle(run: &mut Run<'_>, way: Way) -> Result<NotEntered, Error> {
    let mut backoff = Backoff::new(RECONNECT_FIRST, RECONNECT_PAUSE, u32::MAX);
    loop {
        match run.control.mend().await {
            Ok(()) if run.way() != way => return Ok(NotEntered::Passed),
            Ok(()) => return Ok(NotEntered::No),
            Err(error) => tracing::warn!(%error, "the journal does not answer"),
        }
        let wait = backoff.next().unwrap_or(RECONNECT_PAUSE);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = run.cancel.cancelled() => return Err(Error::PastNoReturn {
                why: "whether the switch was journalled is not known".to_owned(),
                hint: format!(
                    "both sides refuse writes; once the {} answers, `trunkline run` reads its \
                     journal and does what it says",
                    way.to()
                ),
            }),
        }
    }
}
