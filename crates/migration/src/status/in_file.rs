//! The status of a migration whose target cannot be written yet: the file says where it
//! stands, and both servers, where they answer, how far a standby is.

use super::{Arrival, StatusReport, in_words, over};
use crate::control::file;
use crate::error::Error;
use crate::journal::State;
use crate::phase::Phase;
use crate::phases::seeding;
use crate::plan::{Plan, Seed, Snapshot};
use crate::standby;

/// `None` where the journal is not a file.
pub(super) async fn status(plan: &Plan) -> Result<Option<StatusReport>, Error> {
    let Some(peeked) = file::peek(&plan.dir)? else {
        return Ok(None);
    };
    let state = peeked.state;
    let next_steps = if awaits_a_copy(plan, &state) {
        seeding::what_is_awaited()
    } else {
        state.next_steps(peeked.held)
    };
    let report = StatusReport {
        migration: peeked.identity.name,
        held: peeked.held,
        serves: state.way().from(),
        next_steps,
        ..over(plan, state.phase)
    };
    if plan.route.replica().is_none() {
        return Ok(Some(report));
    }
    let distance = standby::distance(plan).await;
    let lag_bytes = distance.map(|(written, replayed)| written.bytes_since(replayed));
    let arrival = lag_bytes.map_or(Arrival::Unknown, |lag| Arrival::estimate(lag, None, None));
    Ok(Some(StatusReport {
        lag_bytes,
        lag_seconds: (lag_bytes == Some(0)).then_some(0.0),
        applied_lsn: distance.map(|(_, replayed)| replayed),
        eta: in_words(arrival),
        ..report
    }))
}

/// Whether somebody has to copy the source's storage, and to say its position.
fn awaits_a_copy(plan: &Plan, state: &State) -> bool {
    let unsaid = Seed::Snapshot(Snapshot::Operator(None));
    state.phase == Phase::Prepared && plan.seed == unsaid
}
