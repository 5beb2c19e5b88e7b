//! `trunkline.ddl_log` on the target: what became of each change of structure.

use trunkline_changes::Lsn;
use trunkline_postgres::{PgError, Session};

use super::Event;
use crate::error::ApplyError;
use crate::writer::{Writer, fault};

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It was made here.
    Replayed,
    /// An operator is to look at it.
    Open,
    /// The same, and the stream waits.
    Stopped,
    /// An operator has dealt with it.
    Done,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Replayed => "replayed",
            State::Open => "open",
            State::Stopped => "stopped",
            State::Done => "done",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "replayed" => State::Replayed,
            "open" => State::Open,
            "done" => State::Done,
            _ => State::Stopped,
        }
    }
}

/// What an earlier run recorded, and what the operator answered.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: i64,
    pub(crate) state: State,
    pub(crate) instead: Option<String>,
}

/// A change that an operator is to look at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LoggedChange {
    /// Its number in `trunkline.ddl_log` on the target.
    pub id: i64,
    /// Where its transaction's commit begins in the source's log.
    pub commit_lsn: Lsn,
    /// When it was committed.
    pub committed_at: String,
    /// Who did it.
    pub role: String,
    /// The command, such as `ALTER TABLE`.
    pub tag: String,
    /// What it was done to.
    pub object: String,
    /// What the client sent to the source.
    pub statement: String,
    /// Whether the stream waits for it.
    pub stops: bool,
    /// Why an operator is to look.
    pub note: String,
}

pub(crate) async fn find(writer: &mut Writer, event: &Event) -> Result<Option<Known>, ApplyError> {
    let sql = "SELECT id, state, instead FROM trunkline.ddl_log \
               WHERE migration = $1::text AND commit_lsn = $2::pg_lsn AND number = $3::integer";
    let migration = writer.migration.clone();
    let commit = event.transaction.commit_lsn;
    let found = writer
        .session
        .query_opt(sql, &[&migration, &commit, &event.number])
        .await;
    let known = found.and_then(|row| {
        row.map(|row| {
            Ok(Known {
                id: row.get(0)?,
                state: State::of(&row.get::<String>(1)?),
                instead: row.get(2)?,
            })
        })
        .transpose()
    });
    known.map_err(|cause| fault(cause, "reading trunkline.ddl_log").into())
}

/// Records what became of a change.
pub(crate) async fn write(
    writer: &mut Writer,
    event: &Event,
    state: State,
    note: &str,
    ran: &str,
) -> Result<(), ApplyError> {
    let (migration, said) = (writer.migration.clone(), &event.said);
    let written = writer
        .session
        .execute(
            include_str!("../../sql/ddl_record.sql"),
            &[
                &migration,
                &event.transaction.commit_lsn,
                &event.number,
                &event.transaction.committed_at_micros,
                &said.role,
                &said.tag,
                &said.object(),
                &said.statement,
                &state.name(),
                &note,
                &ran,
            ],
        )
        .await;
    match written {
        Ok(_) => Ok(()),
        Err(cause) => Err(fault(cause, "writing trunkline.ddl_log").into()),
    }
}

/// A migration of an older version has no such table.
async fn is_kept(session: &mut Session) -> Result<bool, PgError> {
    let sql = "SELECT pg_catalog.to_regclass('trunkline.ddl_log') IS NOT NULL";
    session.query_one(sql, &[]).await?.get(0)
}

/// The changes of a migration that an operator is to look at, the oldest first.
pub async fn changes_to_look_at(
    session: &mut Session,
    migration: &str,
) -> Result<Vec<LoggedChange>, PgError> {
    if !is_kept(session).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT id, commit_lsn, committed_at::text, role, tag, object, statement, \
                      state = 'stopped', coalesce(note, '') \
               FROM trunkline.ddl_log \
               WHERE migration = $1::text AND state IN ('open', 'stopped') \
               ORDER BY commit_lsn, number";
    let rows = session.query(sql, &[&migration]).await?;
    rows.iter()
        .map(|row| {
            Ok(LoggedChange {
                id: row.get(0)?,
                commit_lsn: row.get(1)?,
                committed_at: row.get(2)?,
                role: row.get(3)?,
                tag: row.get(4)?,
                object: row.get(5)?,
                statement: row.get(6)?,
                stops: row.get(7)?,
                note: row.get(8)?,
            })
        })
        .collect()
}

/// How many changes were made on the target, too.
pub async fn count_replayed(session: &mut Session, migration: &str) -> Result<u64, PgError> {
    if !is_kept(session).await? {
        return Ok(0);
    }
    let sql = "SELECT pg_catalog.count(*) FROM trunkline.ddl_log \
               WHERE migration = $1::text AND state = 'replayed'";
    session.query_one(sql, &[&migration]).await?.get(0)
}
