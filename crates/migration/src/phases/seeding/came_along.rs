//! What a physical copy brings with it and must not keep: slots, which would hold its log for
//! nobody; subscriptions, which would take the changes of the source's own; transactions
//! prepared on the source, whose locks nobody would ever release; our publication; and a
//! schema `trunkline` of a migration to the source. Only ever run on a server that was shown
//! not to be the source.

use trunkline_changes::{Side, quote_ident, quote_literal};
use trunkline_postgres::{Conninfo, OnSide, PgError, Session};

use crate::error::Error;
use crate::observer::Notice;
use crate::run::Run;

/// Removes it in every database of the copy that takes connections.
pub(super) async fn remove(run: &Run<'_>, copy: &Conninfo) -> Result<(), Error> {
    let (side, doing) = (Side::Target, "removing what came along with the copy");
    if !run.control.is_in_file() {
        return Err(Error::internal(&"the journal is on the copy already"));
    }
    let mut session = connect(copy).await?;
    let databases = names(
        &mut session,
        "SELECT datname::text FROM pg_catalog.pg_database WHERE datallowconn ORDER BY 1",
    )
    .await
    .on(side, doing)?;
    let slots = drop_slots(&mut session).await.on(side, doing)?;
    tell(run, "slot", &slots);
    session.close().await;
    for database in databases {
        let mut session = connect(&copy.with_database(&database)).await?;
        let subscriptions = drop_subscriptions(&mut session).await.on(side, doing)?;
        tell(run, "subscription", &subscriptions);
        let prepared = roll_back_prepared(&mut session).await.on(side, doing)?;
        tell(run, "prepared transaction", &prepared);
        session.close().await;
    }
    let mut session = connect(copy).await?;
    let own = run.control.identity().object_name(1);
    for name in [own.clone(), format!("{own}_i")] {
        let sql = format!("DROP PUBLICATION IF EXISTS {}", quote_ident(&name));
        session.batch(&sql).await.on(side, doing)?;
    }
    // The journal is a file still: what stands there is not ours.
    let sql = "DROP SCHEMA IF EXISTS trunkline CASCADE";
    session.batch(sql).await.on(side, doing)?;
    session.close().await;
    Ok(())
}

async fn connect(copy: &Conninfo) -> Result<Session, Error> {
    let session = Session::connect(copy, "copy").await;
    Ok(session.on(Side::Target, "connecting to the copy")?)
}

fn tell(run: &Run<'_>, what: &str, names: &[String]) {
    for name in names {
        let warning = format!("removed from the copy: the {what} {name}, which came along");
        run.observer.notice(Notice::Warning(&warning));
    }
}

async fn names(session: &mut Session, sql: &str) -> Result<Vec<String>, PgError> {
    let rows = session.query(sql, &[]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn drop_slots(session: &mut Session) -> Result<Vec<String>, PgError> {
    let sql = "SELECT slot_name::text FROM pg_catalog.pg_replication_slots ORDER BY 1";
    let slots = names(session, sql).await?;
    for slot in &slots {
        let sql = "SELECT pg_catalog.pg_drop_replication_slot($1::text)";
        session.query(sql, &[slot]).await?;
    }
    Ok(slots)
}

/// Their slots are on the servers that they subscribe to, and belong to the source.
async fn drop_subscriptions(session: &mut Session) -> Result<Vec<String>, PgError> {
    let sql = "SELECT subname::text FROM pg_catalog.pg_subscription WHERE subdbid = \
               (SELECT oid FROM pg_catalog.pg_database \
                WHERE datname = pg_catalog.current_database()) ORDER BY 1";
    let subscriptions = names(session, sql).await?;
    for subscription in &subscriptions {
        let name = quote_ident(subscription);
        for sql in [
            format!("ALTER SUBSCRIPTION {name} DISABLE"),
            format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
            format!("DROP SUBSCRIPTION {name}"),
        ] {
            session.batch(&sql).await?;
        }
    }
    Ok(subscriptions)
}

async fn roll_back_prepared(session: &mut Session) -> Result<Vec<String>, PgError> {
    let sql = "SELECT gid FROM pg_catalog.pg_prepared_xacts \
               WHERE database = pg_catalog.current_database() ORDER BY 1";
    let prepared = names(session, sql).await?;
    for gid in &prepared {
        let sql = format!("ROLLBACK PREPARED {}", quote_literal(gid));
        session.batch(&sql).await?;
    }
    Ok(prepared)
}
