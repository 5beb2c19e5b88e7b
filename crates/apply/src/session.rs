//! Opens the target's session: the replica role in force and read back, planner pinned to
//! the keys, commits that do not wait for the disk unless told to.
//!
//! In the replica role no trigger of the default kind fires, those behind DEFERRABLE unique
//! constraints included: the source has checked them, the target does not again.

use trunkline_changes::Side;
use trunkline_postgres::{Conninfo, OnSide, PgError, Session, SqlState};

use crate::error::ApplyError;

/// Fresh tables have no statistics, so the planner is told: rows are found by their keys.
/// One generic plan a statement, because the same statement comes thousands of times.
const PINS: &str = "SET synchronous_commit TO off; \
     SET enable_seqscan TO off; \
     SET enable_hashjoin TO off; \
     SET enable_mergejoin TO off; \
     SET plan_cache_mode TO force_generic_plan";

const DOING: &str = "opening the session that applies changes";

/// Connects, in the replica role: no trigger of the default kind fires, and no foreign key is
/// looked at. What is pinned for applying would make a join of catalogs slow, so it comes later.
///
/// # Errors
/// [`ApplyError::ReplicaRole`] where our role may not set it and nobody has set it for it.
pub async fn open(target: &Conninfo) -> Result<Session, ApplyError> {
    let connected = Session::connect(target, "apply").await;
    let mut session = connected.on(Side::Target, DOING)?;
    replica_role(&mut session).await?;
    Ok(session)
}

/// Sets what changes are applied with.
pub(crate) async fn pin(session: &mut Session) -> Result<(), ApplyError> {
    session.batch(PINS).await.on(Side::Target, DOING)?;
    Ok(())
}

async fn replica_role(session: &mut Session) -> Result<(), ApplyError> {
    let doing = "setting session_replication_role";
    match session
        .batch("SET session_replication_role TO replica")
        .await
    {
        // A role for which it was set beforehand may have it without the right to set it.
        Err(PgError::Server(error)) if error.code == SqlState::INSUFFICIENT_PRIVILEGE => {}
        outcome => {
            outcome.on(Side::Target, doing)?;
        }
    }
    let row = session
        .query_one(
            "SELECT pg_catalog.current_setting('session_replication_role'), current_user::text",
            &[],
        )
        .await
        .on(Side::Target, doing)?;
    let in_force: String = row.get(0).on(Side::Target, doing)?;
    if in_force == "replica" {
        return Ok(());
    }
    let role: String = row.get(1).on(Side::Target, doing)?;
    Err(ApplyError::ReplicaRole {
        remedy: remedy(session.version().major(), &role),
        role,
    })
}

fn remedy(major: u32, role: &str) -> String {
    let role = trunkline_changes::quote_ident(role);
    if major >= 15 {
        format!("as a superuser: GRANT SET ON PARAMETER session_replication_role TO {role};")
    } else {
        format!("as a superuser: ALTER ROLE {role} SET session_replication_role = replica;")
    }
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[test]
    fn the_remedy_is_sql_that_the_version_knows() {
        assert!(
            remedy(15, "a b")
                .contains("GRANT SET ON PARAMETER session_replication_role TO \"a b\"")
        );
        assert!(
            remedy(14, "a").contains("ALTER ROLE \"a\" SET session_replication_role = replica")
        );
    }
}
