//! Looks at the journal on the target, without the lock.

use trunkline_changes::Side;
use trunkline_postgres::{Fault, OnSide, Session};

use super::{Control, Identity, Place, find, replay};
use crate::error::Error;
use crate::journal::State;

/// Reads a migration's journal without holding it. `None` when there is no such migration.
pub(crate) async fn peek(
    session: &mut Session,
    name: &str,
) -> Result<Option<(Identity, State)>, Error> {
    if !schema_exists(session).await? {
        return Ok(None);
    }
    let Some(identity) = find(session, Side::Target, name).await? else {
        return Ok(None);
    };
    let (state, _) = replay(session, name).await?;
    Ok(Some((identity, state)))
}

/// Whether there is a journal on the target.
pub(crate) async fn schema_exists(session: &mut Session) -> Result<bool, Fault> {
    let row = session
        .query_one(
            "SELECT pg_catalog.to_regclass('trunkline.journal') IS NOT NULL",
            &[],
        )
        .await
        .on(Side::Target, "looking for the control schema")?;
    row.get(0)
        .on(Side::Target, "looking for the control schema")
}

impl Control {
    /// Whether another command ended the migration while the lock had gone with its session:
    /// what failed then failed for that. `false` where the target cannot be asked.
    pub(crate) async fn was_ended(&self) -> bool {
        if matches!(self.place, Place::File(_)) {
            // Its lock goes with this process alone.
            return false;
        }
        let Ok(mut session) = Session::connect(&self.target, "control").await else {
            return false;
        };
        let found = peek(&mut session, &self.identity.name).await;
        session.close().await;
        match found {
            Ok(found) => found.is_none_or(|(identity, _)| identity != self.identity),
            Err(_) => false,
        }
    }
}
