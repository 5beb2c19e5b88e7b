//! The fence: the source is made to refuse writes, and is shown to. Holds always: what was
//! set before is in the journal before anything changes, and lifting restores exactly that.
//!
//! While the fence stands, the database accepts no new connection at all
//! (`ALLOW_CONNECTIONS false`, set from a maintenance database, binds superusers too), every
//! other session was ended and seen to be gone, and sessions of ours that are open already
//! stay. After the switch the old database can be read again, by superusers, and refuses
//! writes by default.

use tokio::time::Instant;
use trunkline_changes::{Side, quote_ident, quote_literal};
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use crate::limits::{FENCE_LOOK_INTERVAL, FENCE_QUIET_LOOKS};

/// What the fence changes on the source's database, as it was before.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FenceBefore {
    /// The database.
    pub(crate) database: String,
    /// `pg_database.datconnlimit`.
    pub(crate) connection_limit: i32,
    /// The database's own `default_transaction_read_only`, if it had one.
    pub(crate) read_only: Option<String>,
}

/// A session that stands in the fence's way.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Intruder {
    /// Process id.
    pub(crate) process_id: i32,
    /// Role.
    pub(crate) user: String,
    /// `application_name`, or the kind of process.
    pub(crate) name: String,
}

/// Why the source could not be fenced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FenceError {
    /// A statement failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Sessions that could write would not leave.
    #[error("{} on the source would not end: {}", count(.0.len()), list(.0))]
    SessionsStay(Vec<Intruder>),
    /// Prepared transactions could still commit.
    #[error("prepared transactions are open on the source: {}", .0.join(", "))]
    Prepared(Vec<String>),
}

fn count(sessions: usize) -> String {
    match sessions {
        1 => "1 session".to_owned(),
        many => format!("{many} sessions"),
    }
}

fn list(intruders: &[Intruder]) -> String {
    let each = |i: &Intruder| format!("{} of {} ({})", i.process_id, i.user, i.name);
    intruders.iter().map(each).collect::<Vec<_>>().join(", ")
}

/// Shows that at one moment, and since then, no session but ours could write on the source.
/// Only [`Fence::raise`] makes one.
#[derive(Debug)]
pub(crate) struct WritesFenced(());

/// The hands on the source's database: a session inside it, and one in the maintenance
/// database that can still be used when the first is locked out.
pub(crate) struct Fence<'a> {
    pub(crate) side: Side,
    /// A session in the source's database.
    pub(crate) inside: &'a mut Session,
    /// A session in another database of the source's server.
    pub(crate) outside: &'a mut Session,
    /// Process ids of our own sessions in the database, which stay.
    pub(crate) ours: &'a [i32],
}

/// Reads what the fence will change.
pub(crate) async fn settings_before(
    source: &mut Session,
    _side: Side,
) -> Result<FenceBefore, Fault> {
    let row = source
        .query_one(include_str!("sql/fence_before.sql"), &[])
        .await
        .on(Side::Source, "reading the database's settings")?;
    let read = || -> Result<FenceBefore, PgError> {
        Ok(FenceBefore {
            database: row.get(0)?,
            connection_limit: row.get(1)?,
            read_only: row.get(2)?,
        })
    };
    read().on(Side::Source, "reading the database's settings")
}

impl Fence<'_> {
    /// Closes the database to everyone but our open sessions, ends all others, and looks
    /// until none is left.
    pub(crate) async fn raise(
        &mut self,
        before: &FenceBefore,
        deadline: Instant,
    ) -> Result<WritesFenced, FenceError> {
        let database = quote_ident(&before.database);
        let close = format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS false");
        self.outside
            .batch(&close)
            .await
            .on(Side::Source, "closing the database")?;
        let mut quiet_looks = 0;
        loop {
            let intruders = self.end_others().await?;
            quiet_looks = if intruders.is_empty() {
                quiet_looks + 1
            } else {
                0
            };
            if quiet_looks >= FENCE_QUIET_LOOKS {
                break;
            }
            if Instant::now() >= deadline {
                return Err(FenceError::SessionsStay(intruders));
            }
            tokio::time::sleep(FENCE_LOOK_INTERVAL).await;
        }
        self.look_for_prepared().await?;
        Ok(WritesFenced(()))
    }

    /// Whether the fence still holds: nobody came in since.
    pub(crate) async fn still_holds(&mut self, _fenced: &WritesFenced) -> Result<(), FenceError> {
        let intruders = self.others().await?;
        if !intruders.is_empty() {
            return Err(FenceError::SessionsStay(intruders));
        }
        self.look_for_prepared().await
    }

    async fn look_for_prepared(&mut self) -> Result<(), FenceError> {
        let doing = "looking for prepared transactions";
        let rows = self
            .inside
            .query(
                "SELECT gid FROM pg_catalog.pg_prepared_xacts \
                 WHERE database = pg_catalog.current_database() ORDER BY gid",
                &[],
            )
            .await
            .on(Side::Source, doing)?;
        let names: Result<Vec<String>, PgError> = rows.iter().map(|row| row.get(0)).collect();
        let names = names.on(Side::Source, doing)?;
        if names.is_empty() {
            Ok(())
        } else {
            Err(FenceError::Prepared(names))
        }
    }

    async fn others(&mut self) -> Result<Vec<Intruder>, Fault> {
        let doing = "looking for open sessions";
        let ours = self.ours.to_vec();
        let rows = self
            .inside
            .query(include_str!("sql/other_sessions.sql"), &[&ours])
            .await;
        let rows = rows.on(Side::Source, doing)?;
        let read = |row: &trunkline_postgres::DataRow| -> Result<Intruder, PgError> {
            Ok(Intruder {
                process_id: row.get(0)?,
                user: row.get(1)?,
                name: row.get(2)?,
            })
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .on(Side::Source, doing)
    }

    /// Asks every other session to end; gives those that were there. A session that may
    /// not be ended (a superuser's, for an ordinary role) stays in the list.
    async fn end_others(&mut self) -> Result<Vec<Intruder>, Fault> {
        let others = self.others().await?;
        for intruder in &others {
            let ended = self
                .inside
                .query(
                    "SELECT pg_catalog.pg_terminate_backend($1)",
                    &[&intruder.process_id],
                )
                .await;
            match ended {
                Ok(_) | Err(PgError::Server(_)) => {}
                Err(lost) => return Err(lost).on(Side::Source, "ending a session"),
            }
        }
        Ok(others)
    }
}

/// Gives the source back: exactly what was set before.
pub(crate) async fn lift(
    outside: &mut Session,
    _side: Side,
    before: &FenceBefore,
) -> Result<(), Fault> {
    let database = quote_ident(&before.database);
    let read_only = match &before.read_only {
        Some(value) => format!(
            "SET default_transaction_read_only = {}",
            quote_literal(value)
        ),
        None => "RESET default_transaction_read_only".to_owned(),
    };
    let sql = format!(
        "ALTER DATABASE {database} {read_only}; \
         ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT {limit}",
        limit = before.connection_limit,
    );
    outside
        .batch(&sql)
        .await
        .on(Side::Source, "lifting the fence")?;
    Ok(())
}

/// After the switch, to clean up: the old database takes connections again, and what comes
/// in without saying otherwise cannot write.
pub(crate) async fn let_ourselves_in(
    outside: &mut Session,
    before: &FenceBefore,
) -> Result<(), Fault> {
    open_read_only(outside, before, before.connection_limit)
        .await
        .on(Side::Source, "opening the old database to clean up")
}

/// Lets so many ordinary connections in; what does not say otherwise cannot write.
async fn open_read_only(
    outside: &mut Session,
    before: &FenceBefore,
    connection_limit: i32,
) -> Result<(), PgError> {
    let database = quote_ident(&before.database);
    let sql = format!(
        "ALTER DATABASE {database} SET default_transaction_read_only = on; \
         ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT {connection_limit}"
    );
    outside.batch(&sql).await.map(drop)
}

/// How the old database stands after the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterSwitch {
    /// Superusers may connect and read; whoever does not say otherwise cannot write.
    ReadableBySuperusers,
    /// Nobody may connect: a superuser's own settings would let it write.
    Closed,
}

/// After the switch: the old database may be read (by superusers, or whoever the operator
/// lets in), and what comes in without saying otherwise cannot write. Where a superuser's
/// own settings say otherwise, the database stays closed.
pub(crate) async fn stand(
    outside: &mut Session,
    _side: Side,
    before: &FenceBefore,
) -> Result<AfterSwitch, Fault> {
    let doing = "opening the old database for reading";
    let overrides = outside
        .query(
            include_str!("sql/superusers_that_write.sql"),
            &[&before.database],
        )
        .await
        .on(Side::Source, doing)?;
    if !overrides.is_empty() {
        return Ok(AfterSwitch::Closed);
    }
    open_read_only(outside, before, 0)
        .await
        .on(Side::Source, doing)?;
    Ok(AfterSwitch::ReadableBySuperusers)
}

pub(crate) async fn may_stand(_inside: &mut Session, _side: Side) -> Result<(), FenceError> {
    Ok(())
}
