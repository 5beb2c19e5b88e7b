//! What became of changes of the source's structure, for `status`.

use serde::Serialize;
use trunkline_apply::LoggedChange;
use trunkline_postgres::{PgError, Session};

use crate::journal::State;
use crate::plan::Plan;
use crate::way::Way;

/// What became of changes of the source's structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DdlStatus {
    /// How many were made on the target, too.
    pub replayed: u64,
    /// Those that an operator is to look at.
    pub to_look_at: Vec<LoggedChange>,
}

/// What the log of changes of structure holds, while changes come from the source.
pub(super) async fn read(
    plan: &Plan,
    target: &mut Session,
    state: &State,
) -> Result<Option<DdlStatus>, PgError> {
    if plan.ddl.is_none() || state.way() == Way::Back {
        return Ok(None);
    }
    Ok(Some(DdlStatus {
        replayed: trunkline_apply::count_replayed(target, &plan.name).await?,
        to_look_at: trunkline_apply::changes_to_look_at(target, &plan.name).await?,
    }))
}
