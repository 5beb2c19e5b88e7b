//! The migration's lock on a server: an advisory one, which goes with the session that has it.

use trunkline_changes::Side;
use trunkline_postgres::{OnSide, Session};

use super::Claim;
use crate::error::Error;

/// Takes the lock, as the claim asks for it.
pub(super) async fn take_lock(
    session: &mut Session,
    side: Side,
    name: &str,
    claim: Claim,
) -> Result<(), Error> {
    let doing = "taking the migration's lock";
    let held = |wait: &str| Error::Held {
        name: name.to_owned(),
        hint: wait.to_owned(),
    };
    let tried = session
        .query_one(include_str!("../sql/lock_try.sql"), &[&name])
        .await;
    if tried.and_then(|row| row.get(0)).on(side, doing)? {
        return Ok(());
    }
    let Claim::HandedOver(patience) = claim else {
        return Err(held("wait for the other run to end, or end it"));
    };
    let wait = format!("SET lock_timeout = {}", patience.as_millis());
    session.batch(&wait).await.on(side, doing)?;
    match session
        .query(include_str!("../sql/lock_take.sql"), &[&name])
        .await
    {
        Ok(_) => {}
        Err(error) if error.sqlstate().is_some_and(|s| s.as_str() == "55P03") => {
            return Err(held(
                "the other run did not hand over in time: it copies rows, or another command waits",
            ));
        }
        Err(error) => return Err(error).on(side, doing).map_err(Error::from),
    }
    session
        .batch("SET lock_timeout = 0")
        .await
        .on(side, doing)?;
    Ok(())
}
