//! Behind the point of no return: clients are pointed to the side that serves from now on
//! and let go, and the other side is left so that nobody but us writes there. Every step
//! looks before it acts, so that a crash anywhere in here is gone on from.

use std::time::Duration;

use tokio::time::Instant;
use trunkline_changes::Side;
use trunkline_postgres::Session;

use super::giving_back::lift_patiently;
use super::outside;
use crate::error::Error;
use crate::fence::{self, AfterSwitch};
use crate::journal::Entry;
use crate::limits::SMOKE_AFTER_WITHIN;
use crate::observer::Notice;
use crate::phases::way_back;
use crate::run::Run;
use crate::shell::Scene;
use crate::smoke::{Moment, SmokeOutcome, run_smoke};

/// Opens the side that serves from now on, points clients there and lets them go on.
pub(crate) async fn move_clients(run: &mut Run<'_>) -> Result<(), Error> {
    run.step("moving clients");
    let serves = run.way().from();
    let moved = open_and_point(run).await;
    moved.map_err(|why| Error::PastNoReturn {
        why,
        hint: format!(
            "the {serves} holds everything and serves: point the clients there, or run the same \
             command again to repeat the switch"
        ),
    })?;
    let recorded = run.control.record(Entry::ClientsReleased).await;
    if let Err(error) = recorded {
        // They are served. The next command repeats the steps, which changes nothing.
        tracing::warn!(%error, "the journal was not told that clients were let go");
    }
    Ok(())
}

async fn open_and_point(run: &mut Run<'_>) -> Result<(), String> {
    /// After the point of no return clients wait for this: it gets the time that it needs.
    const PATIENCE: Duration = Duration::from_mins(1);
    let serves = run.way().from();
    // The side that clients left at an earlier switch has been closed to them since.
    if let Some(before) = run.control.state().fence(serves).cloned() {
        let lifted = async {
            lift_patiently(run, serves, (&before, None)).await?;
            run.control.record(Entry::Unfenced(serves)).await
        };
        lifted.await.map_err(|error| error.to_string())?;
    }
    let traffic = &run.plan.cutover.traffic;
    let moved = async {
        traffic.point_at(serves, PATIENCE).await?;
        traffic.release(serves, PATIENCE).await?;
        traffic.verify(serves, PATIENCE).await
    };
    let moved: Result<(), crate::traffic::TrafficError> = moved.await;
    moved.map_err(|error| error.to_string())
}

/// Leaves the side that served before so that only we write there, and takes away what the
/// leg before followed. What fails is done by the next command: the clients are served.
pub(super) async fn stand_behind(run: &mut Run<'_>, mut outside: Session) -> AfterSwitch {
    let left = run.way().to();
    let Some(before) = run.control.state().fence(left).cloned() else {
        return AfterSwitch::Closed;
    };
    let stood = fence::stand(&mut outside, left, &before).await;
    outside.close().await;
    let after = match stood {
        Ok(after) => after,
        Err(error) => {
            tracing::warn!(%error, "the side that clients left stays closed");
            return AfterSwitch::Closed;
        }
    };
    if after == AfterSwitch::Closed && left == Side::Target {
        // Nobody could read the journal there: it stays on the source.
        return after;
    }
    if let Err(error) = tidy(run).await {
        tracing::warn!(%error, "what the last leg left is taken away later");
    }
    after
}

async fn tidy(run: &mut Run<'_>) -> Result<(), Error> {
    run.control.come_home().await?;
    run.control.move_in().await?;
    way_back::clear_behind(run).await.map(drop)
}

/// After a crash behind the point of no return: the rest of the switch. Where nothing is
/// left of it, nothing is done.
pub(crate) async fn finish(run: &mut Run<'_>) -> Result<(), Error> {
    let state = run.control.state();
    let left = state.way().to();
    let untidy = state
        .receipts
        .iter()
        .any(|object| object.is_followed_on(left));
    let leaves_slot = run.plan.relay.is_none() && state.physical_slot().is_some();
    let behind = run.control.is_in_file() || leaves_slot;
    let untidy = untidy || (behind && state.phase.is_switched());
    if !state.clients_released {
        move_clients(run).await?;
    }
    if untidy && run.control.state().fence(left).is_some() {
        let outside = outside(run, left).await?;
        stand_behind(run, outside).await;
    }
    if run.control.state().phase.is_switched() {
        // A promoted standby can be written: whatever comes next counts on the journal there.
        run.control.move_in().await?;
    }
    Ok(())
}

/// The smoke tests of the side that serves now. Clients are there: a failure is told, and
/// what to do about it is the operator's decision.
pub(super) async fn look_after(run: &Run<'_>) -> Vec<SmokeOutcome> {
    let serves = run.way().from();
    let plan = run.plan;
    let scene = Scene::of(plan);
    let ran = run_smoke(
        &plan.cutover.smoke,
        Moment::AfterRelease,
        serves,
        plan.server(serves),
        &scene,
        Instant::now() + SMOKE_AFTER_WITHIN,
    );
    match ran.await {
        Ok(outcomes) => outcomes,
        Err(failure) => {
            let warning = failure.to_string();
            run.observer.notice(Notice::Warning(&warning));
            failure.outcomes
        }
    }
}
