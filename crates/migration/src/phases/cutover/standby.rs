//! The cutover over a physical standby: Verified → Fenced → Drained → Switched.
//!
//! Needs: a standby near the source, no difference. Does, in order: hold clients, fence the
//! source, write a barrier, see that the standby has replayed it, compare once more what time
//! allows, promote the standby, let ourselves in there, make what the way back follows, hand
//! over other consumers' slots, journal the point of no return, switch, release. The journal
//! is the file until then, and moves to the target behind it.
//!
//! What the fence sets on the source is in its log, and comes to the standby with everything
//! else. So the promoted server begins closed, as the source is, and is opened as after a
//! rollback: first to us, and to everybody when the clients are pointed there.
//!
//! Undone, before the point of no return: the source is given back, and loses nothing. A
//! standby that was promoted by then is spent: see [`after_given_back`].

mod pause;

use tokio::time::Instant;
use trunkline_changes::Side;
use trunkline_postgres::Session;

use super::giving_back::give_up;
use super::pause::Missed;
use super::stopwatch::Stopwatch;
use super::tables_then::TablesThen;
use super::{
    Extent, Ready, look_at_clients, note_latencies, outside, switch, take_back_prepared, unstreamed,
};
use crate::checks::{Finding, Severity};
use crate::choice::Chosen;
use crate::downstream::{self, DownstreamSlot};
use crate::error::Error;
use crate::fence::{self, FenceBefore};
use crate::journal::Entry;
use crate::observer::Notice;
use crate::phase::{Event, Phase};
use crate::phases::verifying::{self, Selection};
use crate::phases::way_back;
use crate::plan::WayBack;
use crate::report::{CutoverReport, VerifyReport};
use crate::run::{Run, Tables};
use crate::standby::{self, StandbyLook, Watch, removing};
use crate::way::Way;

/// What the pause needs beside [`Ready`].
struct Hands {
    /// In the source's database, from before it is closed.
    inside: Session,
    /// On the standby's server, in another database where one takes us.
    outside_target: Session,
    /// The settings that the standby's database had before the fence came there.
    target_before: FenceBefore,
    /// What the way back follows, if there is to be one.
    back: Option<Tables>,
    /// Slots that are made again for other consumers.
    slots: Vec<DownstreamSlot>,
}

/// Moves the clients to the standby, or gives the source back and says why.
pub(crate) async fn cutover(run: &mut Run<'_>, extent: Extent) -> Result<CutoverReport, Error> {
    let mut inside = run.connect(Side::Source, "switch").await?;
    look_first(run, &mut inside).await?;
    let verified = standby::verify(run, &Chosen::default()).await?;
    if !verified.equal {
        let names = verified.differences.iter();
        return Err(Error::Differences(
            names.map(|verdict| verdict.table.to_string()).collect(),
        ));
    }
    let ready = match make_ready(run, inside, verified, extent).await {
        Ok(ready) => come_near(run).await.map(|()| ready),
        Err(error) => Err(error),
    };
    let (mut hands, mut ready) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            take_back_prepared(run).await;
            return Err(error);
        }
    };
    let mut watch = Stopwatch::start();
    let deadline = Instant::now() + run.plan.cutover.max_pause;
    let proved = pause::pause(run, &mut hands, &mut ready, &mut watch, deadline).await;
    drop(hands);
    let ended = match proved {
        Ok(proved) if extent == Extent::Switch => {
            return switch(run, None, ready, proved, watch)
                .await
                .map_err(|error| say_if_spent(run, error));
        }
        Ok(proved) => give_up(run, ready, watch, Missed::Rehearsed(Box::new(proved))).await,
        Err(why) => give_up(run, ready, watch, why).await,
    };
    ended.map_err(|error| say_if_spent(run, error))
}

/// What can be known before the comparison: that nothing stands in the way.
async fn look_first(run: &mut Run<'_>, inside: &mut Session) -> Result<(), Error> {
    way_back::give_up(run).await?;
    way_back::refuse_impossible(run).await?;
    let mut target = run.connect(Side::Target, "switch").await?;
    let obstacles = crate::checks::standby::obstacles(inside, &mut target).await?;
    target.close().await;
    let blocks = |finding: &Finding| finding.severity != Severity::Notice;
    if let Some(obstacle) = obstacles.into_iter().find(blocks) {
        return Err(Error::Refused {
            why: obstacle.message,
            hint: obstacle
                .remedy
                .unwrap_or_else(|| "`trunkline check` says more".to_owned()),
        });
    }
    look_at_clients(run, inside, Way::There).await
}

/// Opens and makes everything that must be there before the door closes. What is made on the
/// source comes to the standby by itself.
async fn make_ready(
    run: &mut Run<'_>,
    mut inside: Session,
    verified: VerifyReport,
    extent: Extent,
) -> Result<(Hands, Ready), Error> {
    let way = Way::There;
    let mut to = run.connect(Side::Target, "switch").await?;
    let slots = &run.plan.downstream;
    let slots = downstream::examine(&mut inside, &mut to, Side::Target, slots, &[]).await?;
    run.step("preparing the switch");
    note_latencies(run, &mut inside, way).await?;
    let back = if run.plan.cutover.way_back == WayBack::Open {
        way_back::prepare_records(run).await?;
        Some(run.tables_and_places(Way::Back).await?)
    } else {
        None
    };
    let standing = run.tables_and_places(way).await?;
    let comparisons = verifying::comparisons(run.plan, &standing, &Selection::All);
    let mut comparer = verifying::connect_comparer(run, way, run.plan.copy.jobs).await?;
    comparer.study(&comparisons).await?;
    let mut ours = comparer.process_ids();
    let outside_source = outside(run, Side::Source).await?;
    ours.extend([inside.process_id(), outside_source.process_id()]);
    let ready = Ready {
        way,
        extent,
        outside: outside_source,
        before: fence::settings_before(&mut inside, Side::Source).await?,
        comparisons,
        unlogged: unstreamed::unlogged_tables(&standing),
        layout: standing.layout().clone(),
        comparer: Some(comparer),
        verified,
        // Whatever is made there comes with the log.
        then: TablesThen::default(),
        ours,
        to,
    };
    let hands = Hands {
        outside_target: outside(run, Side::Target).await?,
        // The same rows of the same catalog: nothing differs from the source's.
        target_before: ready.before.clone(),
        inside,
        back,
        slots,
    };
    Ok((hands, ready))
}

async fn come_near(run: &mut Run<'_>) -> Result<(), Error> {
    let mut watch = Watch::open(run).await?;
    watch.until_near(run).await?;
    // The records of the way back are there, too.
    watch.until_replayed(run).await?;
    watch.close().await;
    Ok(())
}

/// Looks what became of the standby, if a cutover that was given up did not live to do so.
pub(crate) async fn settle(run: &mut Run<'_>) -> Result<(), Error> {
    let state = run.control.state();
    let unknown = state.fence(Side::Target).is_some() && !state.is_pausing();
    if unknown && run.is_over_standby() && !state.phase.is_switched() {
        after_given_back(run).await?;
    }
    Ok(())
}

/// After the source was given back: what became of the standby. One that was promoted is
/// opened as the source is, what was made on it goes, and it cannot become the target.
pub(crate) async fn after_given_back(run: &mut Run<'_>) -> Result<(), Error> {
    let Some(before) = run.control.state().fence(Side::Target).cloned() else {
        // It was not about to be promoted.
        return Ok(());
    };
    if run.plan.made_standby().is_some() {
        return after_given_back_ours(run).await;
    }
    let spent = async {
        let mut outside = outside(run, Side::Target).await?;
        let is_standby = StandbyLook::read(&mut outside).await?.is_standby;
        if !is_standby {
            fence::lift(&mut outside, Side::Target, &before).await?;
        }
        outside.close().await;
        Ok::<bool, Error>(!is_standby)
    };
    match spent.await {
        Ok(false) => run.control.record(Entry::Unfenced(Side::Target)).await,
        Ok(true) => {
            if let Err(error) = way_back::give_up(run).await {
                say_left(run, &error);
            }
            run.control.moved(Event::StandbySpent).await
        }
        Err(error) => {
            // Whether it was promoted is not known: it is not relied on.
            say_left(run, &error);
            run.control.moved(Event::StandbySpent).await
        }
    }
}

/// The same of a standby that we made: the next `run` makes another one, with nothing of this
/// one left.
async fn after_given_back_ours(run: &mut Run<'_>) -> Result<(), Error> {
    match removing::was_promoted_in_vain(run).await {
        Ok(false) => return run.control.record(Entry::Unfenced(Side::Target)).await,
        Ok(true) => {}
        Err(error) => {
            // It is not relied on, and `run` looks again what stands there.
            tracing::warn!(%error, "whether the standby was promoted is not known");
        }
    }
    run.control.moved(Event::StandbySpent).await
}

fn say_left(run: &Run<'_>, error: &Error) {
    let warning = format!(
        "what was made on the promoted standby may still be there (a slot and a publication \
         whose names begin with trunkline_): {error}"
    );
    run.observer.notice(Notice::Warning(&warning));
}

/// A cutover that was given up behind the promotion took the standby with it.
fn say_if_spent(run: &Run<'_>, error: Error) -> Error {
    match error {
        Error::CutoverAborted {
            serves,
            rehearsed,
            why,
            report,
        } if run.control.state().phase == Phase::Checked => Error::CutoverAborted {
            serves,
            rehearsed,
            why: if run.plan.made_standby().is_some() {
                format!("{why}; the standby was promoted by then: `trunkline run` makes another")
            } else {
                format!(
                    "{why}; the standby was promoted by then: make it a standby again, then \
                     `trunkline run`"
                )
            },
            report,
        },
        error => error,
    }
}
