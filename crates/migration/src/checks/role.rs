//! What the role that we connect as is and may do on one server.

use trunkline_changes::quote_ident;
use trunkline_postgres::{PgError, Session, SqlState};

use super::finding::Finding;
use super::limits::SESSIONS_PER_SIDE;

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of a catalog, independent of each other"
)]
pub(super) struct Facts {
    pub name: String,
    pub superuser: bool,
    /// The attribute, or the provider's role that stands for it.
    pub replication: bool,
    pub bypasses_row_security: bool,
    /// Connections that the role or the database allows at once; -1 without a limit.
    pub role_connections: i64,
    pub database_connections: i64,
    pub rds_superuser: bool,
    pub reads_all_stats: bool,
    pub signals_backends: bool,
    pub creates_in_database: bool,
    pub owns_database: bool,
    pub database_owner: String,
    pub database_owner_is_superuser: bool,
    /// The database from which the fence is set, and whether the role may connect to it.
    pub maintenance_database: String,
    pub connects_to_maintenance: bool,
    /// Whether `session_replication_role` can be set: tried, and undone at once.
    pub sets_replica_role: bool,
}

impl Facts {
    /// The role's name, quoted for SQL.
    pub(super) fn quoted(&self) -> String {
        quote_ident(&self.name)
    }

    /// Whether the role may do what is left to administrators.
    pub(super) fn administers(&self) -> bool {
        self.superuser || self.rds_superuser
    }
}

pub(super) async fn read(
    session: &mut Session,
    maintenance_database: &str,
) -> Result<Facts, PgError> {
    let row = session
        .query_one(include_str!("sql/role.sql"), &[&maintenance_database])
        .await?;
    let superuser = row.get(1)?;
    let (attribute, rds_replication): (bool, bool) = (row.get(2)?, row.get(6)?);
    Ok(Facts {
        name: row.get(0)?,
        superuser,
        replication: superuser || attribute || rds_replication,
        bypasses_row_security: superuser || row.get(3)?,
        role_connections: row.get(4)?,
        database_connections: row.get(5)?,
        rds_superuser: row.get(7)?,
        reads_all_stats: row.get(8)?,
        signals_backends: row.get(9)?,
        creates_in_database: row.get(10)?,
        owns_database: row.get(11)?,
        database_owner: row.get(12)?,
        database_owner_is_superuser: row.get(13)?,
        maintenance_database: maintenance_database.to_owned(),
        connects_to_maintenance: row.get(14)?,
        sets_replica_role: sets_replica_role(session).await?,
    })
}

/// Tries it: a catalog cannot say it for versions before 15, where a provider's own role may
/// have the right, or an administrator may have set it for our role.
async fn sets_replica_role(session: &mut Session) -> Result<bool, PgError> {
    // `true`: for the transaction, which is this one statement.
    let attempt = "SELECT pg_catalog.set_config('session_replication_role', 'replica', true)";
    let shown = "SELECT pg_catalog.current_setting('session_replication_role')";
    if session.query_one(shown, &[]).await?.get::<String>(0)? == "replica" {
        return Ok(true);
    }
    match session.query_one(attempt, &[]).await {
        Ok(_) => Ok(true),
        Err(error) if error.sqlstate() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Limits on how many connections we may open.
pub(super) fn judge_connections(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let too_few = |limit: i64| !facts.superuser && (0..SESSIONS_PER_SIDE).contains(&limit);
    if too_few(facts.role_connections) {
        let message = format!(
            "the role may hold {} connections at once, and up to {SESSIONS_PER_SIDE} are wanted",
            facts.role_connections
        );
        let remedy = format!("ALTER ROLE {} CONNECTION LIMIT -1;", facts.quoted());
        findings.push(
            Finding::warning("connection-limit", message)
                .about(&facts.name)
                .mend(remedy),
        );
    }
    if too_few(facts.database_connections) {
        let message = format!(
            "the database takes {} connections at once, and up to {SESSIONS_PER_SIDE} are wanted",
            facts.database_connections
        );
        findings.push(Finding::warning("connection-limit", message).about("the database"));
    }
    findings
}

#[cfg(test)]
pub(super) fn example() -> Facts {
    Facts {
        name: "trunkline".to_owned(),
        superuser: false,
        replication: true,
        bypasses_row_security: false,
        role_connections: -1,
        database_connections: -1,
        rds_superuser: false,
        reads_all_stats: true,
        signals_backends: true,
        creates_in_database: true,
        owns_database: true,
        database_owner: "app_owner".to_owned(),
        database_owner_is_superuser: false,
        maintenance_database: "postgres".to_owned(),
        connects_to_maintenance: true,
        sets_replica_role: true,
    }
}

#[cfg(test)]
mod tests {
    use super::{example, judge_connections};

    #[test]
    fn a_limit_on_connections_is_a_warning_unless_it_is_none() {
        assert!(judge_connections(&example()).is_empty());
        let mut narrow = example();
        narrow.role_connections = 3;
        narrow.database_connections = 4;
        assert_eq!(judge_connections(&narrow).len(), 2);
        narrow.superuser = true;
        assert!(judge_connections(&narrow).is_empty());
    }
}
