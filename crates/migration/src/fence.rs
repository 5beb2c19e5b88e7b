//! The fence: one side is made to refuse writes, and is shown to. Holds always: what was set
//! before is in the journal before anything changes, and lifting restores exactly that.
//!
//! There are two. The *pause's fence* ([`Fence::raise`]) lets nobody in; sessions of ours that
//! are open already stay. The *standing fence* ([`stand`]) is for the side that does not
//! serve: Trunkline's role gets in, and superusers, who by default cannot write.

mod before;
mod error;
mod grants;
mod holes;
mod probe;
mod sessions;
mod standing;
mod strength;
#[cfg(test)]
mod tests;

use tokio::time::Instant;
use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{Conninfo, OnSide, Session};

pub(crate) use before::{FenceBefore, settings_before};
pub(crate) use error::FenceError;
pub(crate) use holes::{BoundByDefault, may_be_raised, may_stand, may_stand_without};
pub use standing::AfterSwitch;
pub(crate) use standing::{let_ourselves_in, lift, retire, stand};
pub use strength::Strength;
pub(crate) use strength::strength;

use before::Now;
use error::Intruder;

/// Shows that at one moment, and since then, no session but ours could write on a side. Only
/// [`Fence::raise`] makes one.
#[derive(Debug)]
pub(crate) struct WritesFenced {
    side: Side,
    database: String,
    strength: Strength,
    /// The transaction id after the last one that had ended when the fence stood.
    next_transaction: i64,
}

/// What was seen while the fence stood, beside what had to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FenceEvidence {
    /// Transaction ids that the whole server has given out since the fence stood. Evidence,
    /// and no gate: our own barriers take one each, other databases of the server take them,
    /// and so does autovacuum, which may analyze a table of the fenced database at any
    /// moment. Whom an id belongs to cannot be asked once its transaction is over. That no
    /// published row was written is proved by the log itself, at the second barrier.
    pub ids_taken_since_fence: i64,
}

/// The hands on a side's database: a session inside it, and one that can still be used when
/// the first is locked out.
pub(crate) struct Fence<'a> {
    /// The side that is fenced.
    pub(crate) side: Side,
    /// A session in the database.
    pub(crate) inside: &'a mut Session,
    /// A session in another database of the same server; where there is none to be had, a
    /// second one in the database itself, which makes the fence [`Strength::Limited`].
    pub(crate) outside: &'a mut Session,
    /// Process ids of our own sessions in the database, which stay.
    pub(crate) ours: &'a [i32],
    /// How the side is reached: a new connection is tried, and must be refused.
    pub(crate) conninfo: &'a Conninfo,
}

impl WritesFenced {
    /// How firmly.
    pub(crate) fn strength(&self) -> Strength {
        self.strength
    }
}

impl Fence<'_> {
    /// Closes the database to everyone but our open sessions, ends all others, looks until
    /// none is left, and tries the door. May be called where a standing fence is.
    pub(crate) async fn raise(
        &mut self,
        before: &FenceBefore,
        deadline: Instant,
    ) -> Result<WritesFenced, FenceError> {
        let strength = self.close(before).await?;
        self.see_others_gone(deadline).await?;
        sessions::no_prepared(self.inside, self.side).await?;
        self.door_is_shut(&before.database, strength).await?;
        probe::refused(self.conninfo, self.side, strength, Some(deadline)).await?;
        Ok(WritesFenced {
            side: self.side,
            database: before.database.clone(),
            strength,
            next_transaction: self.next_transaction().await?,
        })
    }

    /// Whether the fence still holds: nobody came in since, and nobody could.
    pub(crate) async fn still_holds(
        &mut self,
        fenced: &WritesFenced,
    ) -> Result<FenceEvidence, FenceError> {
        if fenced.side != self.side {
            return Err(FenceError::OtherSide(fenced.side));
        }
        let intruders = self.others_once_probes_left().await?;
        if !intruders.is_empty() {
            return Err(FenceError::SessionsStay(self.side, intruders));
        }
        sessions::no_prepared(self.inside, self.side).await?;
        self.door_is_shut(&fenced.database, fenced.strength).await?;
        probe::refused(self.conninfo, self.side, fenced.strength, None).await?;
        let ids = self.next_transaction().await? - fenced.next_transaction;
        Ok(FenceEvidence {
            ids_taken_since_fence: ids,
        })
    }

    /// Shuts the door as far as it can be shut from where we are.
    async fn close(&mut self, before: &FenceBefore) -> Result<Strength, FenceError> {
        let now = Now::read(self.outside, self.side, &before.database).await?;
        if now.is_current {
            standing::shut(self.outside, self.side, &before.database).await?;
            return Ok(Strength::Limited);
        }
        let database = quote_ident(&before.database);
        let close = format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS false");
        let closed = self.outside.batch(&close).await;
        closed.on(self.side, "closing the database")?;
        Ok(Strength::Closed)
    }

    /// The door as the database's own session sees it: what was said outside was said to
    /// this server.
    async fn door_is_shut(&mut self, database: &str, strength: Strength) -> Result<(), FenceError> {
        let now = Now::read(self.inside, self.side, database).await?;
        let shut = match strength {
            Strength::Closed => !now.allows_connections,
            Strength::Limited => now.keeps_others_out(),
        };
        if shut {
            Ok(())
        } else {
            Err(FenceError::Open(self.side))
        }
    }

    /// A probe that was closed needs a moment to go; it is waited for, never left out.
    async fn others_once_probes_left(&mut self) -> Result<Vec<Intruder>, FenceError> {
        let mut looks = 0;
        loop {
            looks += 1;
            let others = sessions::others(self.inside, self.side, self.ours).await?;
            let only_probes = !others.is_empty() && others.iter().all(probe::is_probe);
            if !only_probes || looks >= crate::limits::FENCE_LOOKS_FOR_PROBES {
                return Ok(others);
            }
            tokio::time::sleep(crate::limits::FENCE_LOOK_INTERVAL).await;
        }
    }

    async fn see_others_gone(&mut self, deadline: Instant) -> Result<(), FenceError> {
        let mut quiet_looks = 0;
        loop {
            let intruders = sessions::end_others(self.inside, self.side, self.ours).await?;
            quiet_looks = if intruders.is_empty() {
                quiet_looks + 1
            } else {
                0
            };
            if quiet_looks >= crate::limits::FENCE_QUIET_LOOKS {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(FenceError::SessionsStay(self.side, intruders));
            }
            tokio::time::sleep(crate::limits::FENCE_LOOK_INTERVAL).await;
        }
    }

    /// Takes no id itself.
    async fn next_transaction(&mut self) -> Result<i64, FenceError> {
        let doing = "reading the server's transaction id";
        let sql = "SELECT pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())";
        let row = self.inside.query_one(sql, &[]).await;
        Ok(row.and_then(|row| row.get(0)).on(self.side, doing)?)
    }
}
