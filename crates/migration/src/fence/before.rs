//! What the fence changes, as it was before, and as it is now.

use trunkline_changes::Side;
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use super::grants::{Grant, RoleId};

/// What the fence changes on a side's database, as it was before.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FenceBefore {
    /// The database.
    pub(crate) database: String,
    /// `pg_database.datconnlimit`.
    pub(crate) connection_limit: i32,
    /// The database's own `default_transaction_read_only`, if it had one.
    pub(crate) read_only: Option<String>,
    /// Who might connect, by whose grant. Not there: not recorded, and not to be touched.
    #[serde(default)]
    pub(crate) connect: Option<Vec<Grant>>,
}

/// Reads what the fence will change. Only to be asked of a side that is not fenced: where a
/// fence stands, what was before it is in the journal.
pub(crate) async fn settings_before(
    inside: &mut Session,
    side: Side,
) -> Result<FenceBefore, Fault> {
    let doing = "reading the database's settings";
    let row = inside
        .query_one("SELECT pg_catalog.current_database()", &[])
        .await;
    let database: String = row.and_then(|row| row.get(0)).on(side, doing)?;
    Ok(Now::read(inside, side, &database).await?.settings)
}

/// What our role may do with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authority {
    /// Everything, and no limit binds it.
    Superuser,
    /// What its owner may.
    Owner,
    /// Not enough to close it.
    None,
}

/// The database as it is now, and what our role may do with it.
#[derive(Clone, Debug)]
pub(super) struct Now {
    pub(super) settings: FenceBefore,
    /// The grants in [`Now::settings`].
    pub(super) connect: Vec<Grant>,
    pub(super) allows_connections: bool,
    pub(super) owner: RoleId,
    pub(super) owner_name: String,
    pub(super) owner_is_superuser: bool,
    /// The role that connects, whatever role it takes afterwards.
    pub(super) ours: RoleId,
    pub(super) our_name: String,
    pub(super) authority: Authority,
    /// Whether the session that asked is in the database.
    pub(super) is_current: bool,
}

impl Now {
    pub(super) async fn read(
        session: &mut Session,
        side: Side,
        database: &str,
    ) -> Result<Now, Fault> {
        let doing = "reading the database's settings";
        Self::try_read(session, database).await.on(side, doing)
    }

    async fn try_read(session: &mut Session, database: &str) -> Result<Now, PgError> {
        let grants = session
            .query(include_str!("sql/connect_grants.sql"), &[&database])
            .await?;
        let grants: Result<Vec<Grant>, PgError> = grants.iter().map(Grant::from_row).collect();
        let connect = grants?;
        let row = session
            .query_one(include_str!("sql/database.sql"), &[&database])
            .await?;
        Ok(Now {
            settings: FenceBefore {
                database: row.get(0)?,
                connection_limit: row.get(1)?,
                read_only: row.get(2)?,
                connect: Some(connect.clone()),
            },
            connect,
            allows_connections: row.get(3)?,
            owner: RoleId(row.get(4)?),
            owner_name: row.get(5)?,
            ours: RoleId(row.get(6)?),
            our_name: row.get(7)?,
            authority: match (row.get(8)?, row.get(9)?) {
                (true, _) => Authority::Superuser,
                (false, true) => Authority::Owner,
                (false, false) => Authority::None,
            },
            is_current: row.get(10)?,
            owner_is_superuser: row.get(11)?,
        })
    }

    /// Whether ordinary roles other than ours are kept out, and whoever comes in cannot write
    /// without saying so.
    pub(super) fn keeps_others_out(&self) -> bool {
        let read_only = self.settings.read_only.as_deref() == Some("on");
        let kept_out = if self.authority == Authority::Superuser {
            self.settings.connection_limit == 0
        } else {
            self.connect.iter().all(|grant| grant.grantee == self.ours)
        };
        read_only && kept_out
    }
}
