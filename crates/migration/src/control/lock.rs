//! The migration's lock on a server: an advisory one, which goes with the session that has it.

use trunkline_changes::Side;
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};

use super::Claim;
use crate::error::Error;

/// Takes the lock, as the claim asks for it.
pub(super) async fn take_lock(
    session: &mut Session,
    side: Side,
    name: &str,
    claim: Claim,
) -> Result<(), Error> {
    let doing = "taking the migration's lock";
    let tried = session
        .query_one(include_str!("../sql/lock_try.sql"), &[&name])
        .await;
    if tried.and_then(|row| row.get(0)).on(side, doing)? {
        return Ok(());
    }
    if let Claim::Lost(process) = claim {
        end_lost(session, side, name, process).await?;
    }
    let Some(patience) = claim.patience() else {
        let wait = "wait for the other run to end, or end it";
        return Err(held(session, side, name, wait).await);
    };
    let wait = format!("SET lock_timeout = {}", patience.as_millis());
    session.batch(&wait).await.on(side, doing)?;
    match session
        .query(include_str!("../sql/lock_take.sql"), &[&name])
        .await
    {
        Ok(_) => {}
        Err(error) if error.sqlstate().is_some_and(|s| s.as_str() == "55P03") => {
            let wait = "the other run did not hand over in time: it copies rows, or another \
                        command waits";
            return Err(held(session, side, name, wait).await);
        }
        Err(error) => return Err(error).on(side, doing).map_err(Error::from),
    }
    session
        .batch("SET lock_timeout = 0")
        .await
        .on(side, doing)?;
    Ok(())
}

/// The session that has the lock.
pub(super) struct Holder {
    pid: i32,
    /// Its process, machine and beginning.
    who: String,
}

/// Who holds the lock, if somebody does.
pub(super) async fn holder(
    session: &mut Session,
    side: Side,
    name: &str,
) -> Result<Option<Holder>, Fault> {
    let doing = "looking whether somebody holds the migration";
    let row = session
        .query_opt(include_str!("../sql/lock_holder.sql"), &[&name])
        .await
        .on(side, doing)?;
    let read = |row: DataRow| {
        Ok::<_, PgError>(Holder {
            pid: row.get(0)?,
            who: row.get(1)?,
        })
    };
    row.map(read).transpose().on(side, doing)
}

/// Somebody else holds it, who is named: a machine that died in silence keeps its session until
/// the server finds out, and an operator need not wait for that.
async fn held(session: &mut Session, side: Side, name: &str, wait: &str) -> Error {
    let hint = match holder(session, side, name).await {
        Ok(Some(Holder { pid, who })) => format!(
            "{wait}. It is {who}, on the {side}; if its machine is gone: \
             SELECT pg_terminate_backend({pid})"
        ),
        _ => wait.to_owned(),
    };
    Error::Held {
        name: name.to_owned(),
        hint,
    }
}

/// Ends our own session that was lost, if its server has not found that out: it would keep the
/// lock for as long.
pub(super) async fn end_lost(
    session: &mut Session,
    side: Side,
    name: &str,
    lost: i32,
) -> Result<(), Error> {
    let found = holder(session, side, name).await?;
    if found.is_none_or(|holder| holder.pid != lost) {
        return Ok(());
    }
    let end = "SELECT pg_catalog.pg_terminate_backend($1)";
    if let Err(error) = session.query(end, &[&lost]).await {
        tracing::warn!(%error, "our own session that was lost ends by itself");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trunkline_postgres::Conninfo;
    use trunkline_testkit::{Cluster, any_major, skip_unless_available};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lost_session_of_our_own_is_named_and_lets_go_and_no_other_does() {
        skip_unless_available!(any_major());
        let cluster = Cluster::start(any_major());
        let server = Conninfo::resolve(&cluster.uri("postgres")).expect("a conninfo");
        let side = Side::Target;
        let connect = async || {
            Session::connect(&server, "control")
                .await
                .expect("it takes us")
        };
        let (mut lost, mut other) = (connect().await, connect().await);
        let claimed = take_lock(&mut lost, side, "app", Claim::Now).await;
        claimed.expect("it is free");
        let pid = lost.canceller().process_id();

        let refused = take_lock(&mut other, side, "app", Claim::Now).await;
        let hint = refused.expect_err("it is held").hint().unwrap_or_default();
        assert!(
            hint.contains(&format!("It is process {pid} of 127.0.0.1")),
            "{hint}"
        );
        let ended = end_lost(&mut other, side, "app", pid + 1).await;
        ended.expect("there is nothing to do");
        let refused = take_lock(&mut other, side, "app", Claim::Now).await;
        refused.expect_err("another session is not ended");

        end_lost(&mut other, side, "app", pid)
            .await
            .expect("it ends");
        let claim = Claim::HandedOver(Duration::from_secs(30));
        take_lock(&mut other, side, "app", claim)
            .await
            .expect("it is free");
    }
}
