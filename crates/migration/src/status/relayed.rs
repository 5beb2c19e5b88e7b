//! The way through a relay, for `status`: how far each of its two stretches is behind.

use serde::Serialize;
use trunkline_changes::Lsn;
use trunkline_postgres::Session;

use crate::plan::Plan;
use crate::relay::{self, Look};

/// Whether the relay does its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayState {
    /// It is a standby, and answers.
    Standby,
    /// It was promoted: nothing comes through it any more.
    Promoted,
    /// It does not answer.
    Unreachable,
}

/// A relay, between source and target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelayStatus {
    /// Whether it does its part.
    pub state: RelayState,
    /// Bytes of the source's log that it has not replayed.
    pub replay_lag_bytes: Option<u64>,
    /// Age of the last commit that it replayed while it is behind, in seconds.
    pub replay_lag_seconds: Option<f64>,
    /// Bytes that it has replayed and that are not on the target.
    pub apply_lag_bytes: Option<u64>,
    /// Bytes of log that it keeps for the migration's slot.
    pub wal_kept_bytes: Option<u64>,
}

/// Looks at the plan's relay; a promoted one has no position to look at.
pub(super) async fn look(plan: &Plan, slot: &str) -> Option<Look> {
    let on_relay = plan.relay.as_ref()?;
    let mut session = Session::connect(&on_relay.server, "status").await.ok()?;
    relay::look(&mut session, slot).await.ok()
}

/// What it means, beside where the source and the target stand.
pub(super) fn of(
    plan: &Plan,
    look: Option<&Look>,
    source: Option<Lsn>,
    applied: Option<Lsn>,
) -> Option<RelayStatus> {
    plan.relay.as_ref()?;
    let state = match look {
        None => RelayState::Unreachable,
        Some(look) if look.is_standby => RelayState::Standby,
        Some(_) => RelayState::Promoted,
    };
    let look = look.filter(|look| look.is_standby);
    let replayed = look.map(|look| look.replayed);
    let replay_lag_bytes = source
        .zip(replayed)
        .map(|(source, replayed)| source.bytes_since(replayed));
    Some(RelayStatus {
        state,
        replay_lag_bytes,
        replay_lag_seconds: match replay_lag_bytes {
            Some(0) => Some(0.0),
            Some(_) => look.and_then(|look| look.age_seconds),
            None => None,
        },
        apply_lag_bytes: replayed
            .zip(applied)
            .map(|(replayed, applied)| replayed.bytes_since(applied)),
        wal_kept_bytes: look.and_then(|look| look.kept_bytes),
    })
}
