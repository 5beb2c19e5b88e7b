//! Who could write in a database: its sessions, and transactions that need none.

use trunkline_changes::Side;
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session, ToParam};

use super::error::{FenceError, Intruder};

/// Sessions that a query finds, by process id, role and name.
pub(super) async fn named_by(
    inside: &mut Session,
    side: Side,
    sql: &str,
    params: &[&dyn ToParam],
) -> Result<Vec<Intruder>, Fault> {
    let doing = "looking for open sessions";
    let rows = inside.query(sql, params).await.on(side, doing)?;
    let read = |row: &DataRow| -> Result<Intruder, PgError> {
        Ok(Intruder {
            process_id: row.get(0)?,
            user: row.get(1)?,
            name: row.get(2)?,
        })
    };
    let read: Result<Vec<Intruder>, PgError> = rows.iter().map(read).collect();
    read.on(side, doing)
}

/// Sessions that could write, but for ours.
pub(super) async fn others(
    inside: &mut Session,
    side: Side,
    ours: &[i32],
) -> Result<Vec<Intruder>, Fault> {
    let ours = ours.to_vec();
    named_by(
        inside,
        side,
        include_str!("sql/other_sessions.sql"),
        &[&ours],
    )
    .await
}

/// Asks every other session to end; gives those that were there. A session that may not be
/// ended (a superuser's, for an ordinary role) stays in the list.
pub(super) async fn end_others(
    inside: &mut Session,
    side: Side,
    ours: &[i32],
) -> Result<Vec<Intruder>, Fault> {
    let others = others(inside, side, ours).await?;
    for intruder in &others {
        let sql = "SELECT pg_catalog.pg_terminate_backend($1)";
        match inside.query(sql, &[&intruder.process_id]).await {
            Ok(_) | Err(PgError::Server(_)) => {}
            Err(lost) => return Err(lost).on(side, "ending a session"),
        }
    }
    Ok(others)
}

/// A prepared transaction outlives its session, and may commit at any moment.
pub(super) async fn no_prepared(inside: &mut Session, side: Side) -> Result<(), FenceError> {
    let doing = "looking for prepared transactions";
    let sql = "SELECT gid FROM pg_catalog.pg_prepared_xacts \
               WHERE database = pg_catalog.current_database() ORDER BY gid";
    let rows = inside.query(sql, &[]).await.on(side, doing)?;
    let names: Result<Vec<String>, PgError> = rows.iter().map(|row| row.get(0)).collect();
    let names = names.on(side, doing)?;
    if names.is_empty() {
        Ok(())
    } else {
        Err(FenceError::Prepared(side, names))
    }
}
