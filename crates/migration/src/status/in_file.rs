//! The status of a migration whose target cannot be written yet.

use super::{Arrival, StatusReport, in_words, over};
use crate::control::file;
use crate::error::Error;
use crate::plan::Plan;
use crate::standby;

/// Before the target can be written, the journal in the migration's folder says where it is,
/// and both servers, where they answer, how far the standby is.
pub(super) async fn status(plan: &Plan) -> Result<Option<StatusReport>, Error> {
    let Some(peeked) = file::peek(&plan.dir)? else {
        return Ok(None);
    };
    let state = peeked.state;
    let distance = standby::distance(plan).await;
    let lag_bytes = distance.map(|(written, replayed)| written.bytes_since(replayed));
    let arrival = lag_bytes.map_or(Arrival::Unknown, |lag| Arrival::estimate(lag, None, None));
    Ok(Some(StatusReport {
        migration: peeked.identity.name,
        held: peeked.held,
        serves: state.way().from(),
        lag_bytes,
        lag_seconds: (lag_bytes == Some(0)).then_some(0.0),
        applied_lsn: distance.map(|(_, replayed)| replayed),
        eta: in_words(arrival),
        next_steps: state.next_steps(peeked.held),
        ..over(plan, state.phase)
    }))
}
