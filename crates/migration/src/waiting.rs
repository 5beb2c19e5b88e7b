//! Says whom our sessions wait for while a server is looked at, or loaded, or what we made is
//! taken away: somebody who changes a table has it for himself until his transaction ends, and may
//! have gone home.

use std::collections::BTreeSet;
use std::convert::Infallible;

use trunkline_changes::Side;
use trunkline_postgres::{Conninfo, PgError, Session};

use crate::limits::{HELD_UP_ANSWER, WAITS_LOOK};
use crate::observer::{Notice, Observer};
use crate::plan::Plan;

/// Does `work`, and says whom it waits for.
pub(crate) async fn told<T>(
    plan: &Plan,
    observer: &dyn Observer,
    work: impl Future<Output = T>,
) -> T {
    tokio::select! {
        done = work => done,
        never = watch(plan, observer) => match never {},
    }
}

async fn watch(plan: &Plan, observer: &dyn Observer) -> Infallible {
    let mut said = BTreeSet::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    loop {
        tokio::time::sleep(WAITS_LOOK).await;
        let mut now = BTreeSet::new();
        let relay = plan
            .relay
            .as_ref()
            .map(|relay| (Side::Source, &relay.server));
        let both = [(Side::Source, &plan.source), (Side::Target, &plan.target)];
        for (side, server) in both.into_iter().chain(relay) {
            // A server that does not answer shows elsewhere.
            let looked = tokio::time::timeout(HELD_UP_ANSWER, holders(server)).await;
            let Ok(Ok(holders)) = looked else { continue };
            now.extend(
                holders
                    .iter()
                    .map(|who| format!("waits on the {side} for {who}")),
            );
        }
        // Who is there at two looks is waited for, and not just met.
        for warning in now.intersection(&seen) {
            if said.insert(warning.clone()) {
                observer.notice(Notice::Warning(warning));
            }
        }
        seen = now;
    }
}

/// Whom sessions of ours on this database wait for, none of them ours, in words.
async fn holders(server: &Conninfo) -> Result<Vec<String>, PgError> {
    let mut session = Session::connect(server, "watch").await?;
    let ours = "SELECT coalesce(array_agg(a.pid), '{}') FROM pg_catalog.pg_stat_activity a \
                WHERE a.application_name LIKE 'trunkline %' \
                  AND a.datname = pg_catalog.current_database()";
    let ours: Vec<i32> = session.query_one(ours, &[]).await?.get(0)?;
    let sql = include_str!("sql/held_up.sql");
    let rows = session.query(sql, &[&ours]).await?;
    session.close().await;
    rows.iter().map(|row| row.get(0)).collect()
}
