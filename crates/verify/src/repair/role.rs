//! Whether triggers, rules and foreign keys of the target act while it is mended.

use trunkline_changes::Side;
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use super::error::RepairError;
use super::item::Item;

/// Who answers a change on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firing {
    /// Nobody: each transaction sets the replica role.
    Off,
    /// Nobody: the role has it set without the right to set it.
    OffAlready,
    /// Whatever is defined.
    On,
}

impl Firing {
    /// Tries it, and undoes it at once.
    pub(crate) async fn probe(target: &mut Session) -> Result<Firing, Fault> {
        let probed = async {
            target.batch("BEGIN").await?;
            let set = target.batch("SET LOCAL session_replication_role = replica");
            let set = set.await;
            target.batch("ROLLBACK").await?;
            match set {
                Ok(_) => return Ok(Firing::Off),
                Err(PgError::Server(_)) => {}
                Err(error) => return Err(error),
            }
            let sql = "SELECT pg_catalog.current_setting('session_replication_role')";
            let role: String = target.query_one(sql, &[]).await?.get(0)?;
            Ok(if role == "replica" {
                Firing::OffAlready
            } else {
                Firing::On
            })
        };
        probed
            .await
            .on(Side::Target, "trying session_replication_role")
    }

    /// Refuses tables that would answer with changes of their own.
    pub(crate) fn permit(self, items: &[Item<'_>]) -> Result<(), RepairError> {
        let answering = items.iter().find(|item| item.table.fires);
        match (self, answering) {
            (Firing::On, Some(item)) => Err(RepairError::Fires {
                table: item.table.target.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// How a transaction that mends begins. What can be checked at its end is: a row that is
    /// taken out comes back.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Firing::Off => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SET LOCAL session_replication_role = replica; SET CONSTRAINTS ALL DEFERRED"
            }
            Firing::OffAlready | Firing::On => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL DEFERRED"
            }
        }
    }
}
