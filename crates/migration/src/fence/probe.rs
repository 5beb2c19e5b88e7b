//! The door is tried: a new connection of our own to the fenced database. What a catalog says
//! is what was meant; this is what a client would meet.

use tokio::time::Instant;
use trunkline_changes::Side;
use trunkline_postgres::{Conninfo, PgError, Session, SqlState};

use super::error::{FenceError, Intruder};
use super::strength::Strength;
use crate::limits::{FENCE_LOOK_INTERVAL, FENCE_PROBES};

/// What a probe's session calls itself.
const PURPOSE: &str = "fence probe";

/// Whether a session calls itself a probe.
pub(super) fn is_probe(session: &Intruder) -> bool {
    session.name.ends_with(PURPOSE)
}

/// Tries the door until it answers clearly, within the deadline if there is one.
pub(super) async fn refused(
    conninfo: &Conninfo,
    side: Side,
    strength: Strength,
    deadline: Option<Instant>,
) -> Result<(), FenceError> {
    let mut tried = 0;
    loop {
        tried += 1;
        let unclear = match (strength, Session::connect(conninfo, PURPOSE).await) {
            (Strength::Closed, Ok(session)) => {
                session.close().await;
                return Err(FenceError::LetIn(side));
            }
            (Strength::Limited, Ok(session)) => return finds_itself_read_only(session, side).await,
            (_, Err(error)) if says_closed(&error) => return Ok(()),
            (_, Err(error)) => error,
        };
        let over = match deadline {
            Some(deadline) => Instant::now() >= deadline,
            None => tried >= FENCE_PROBES,
        };
        if over {
            return Err(FenceError::DoorUnclear(side, unclear.to_string()));
        }
        tokio::time::sleep(FENCE_LOOK_INTERVAL).await;
    }
}

/// "database … is not currently accepting connections". Other refusals (no connection slot
/// free, a password) are those of a server whose door may be open.
fn says_closed(error: &PgError) -> bool {
    error.sqlstate() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
}

/// A limited fence must let our own role in, because only from inside can it be lifted; what
/// it sets for whoever comes in is read instead. Our sessions pin the setting to off for
/// themselves: what they began with is what counts.
async fn finds_itself_read_only(mut session: Session, side: Side) -> Result<(), FenceError> {
    let sql = "SELECT reset_val = 'on' FROM pg_catalog.pg_settings \
               WHERE name = 'default_transaction_read_only'";
    let row = session.query_one(sql, &[]).await;
    let read_only: Result<bool, PgError> = row.and_then(|row| row.get(0));
    session.close().await;
    match read_only {
        Ok(true) => Ok(()),
        Ok(false) => Err(FenceError::LetIn(side)),
        Err(error) => Err(FenceError::DoorUnclear(side, error.to_string())),
    }
}
