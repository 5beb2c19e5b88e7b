//! Says whom our sessions wait for while a server is looked at, or loaded, or what we made is
//! taken away: somebody who changes a table has it for himself until his transaction ends, and may
//! have gone home.

use std::collections::BTreeSet;
use std::convert::Infallible;

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
    let relay = plan.relay.as_ref().map(|relay| ("relay", &relay.server));
    let both = [("source", &plan.source), ("target", &plan.target)];
    let servers = both.into_iter().chain(relay);
    let mut servers: Vec<Looked<'_>> = servers.map(Looked::new).collect();
    let mut said = BTreeSet::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    loop {
        tokio::time::sleep(WAITS_LOOK).await;
        let mut now = BTreeSet::new();
        for server in &mut servers {
            // A server that does not answer shows elsewhere.
            let looked = tokio::time::timeout(HELD_UP_ANSWER, server.holders()).await;
            let Ok(Ok(holders)) = looked else { continue };
            let waits = |who: &String| format!("waits on the {} for {who}", server.name);
            now.extend(holders.iter().map(waits));
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

/// A server that is looked at, and the session for it once there is one.
struct Looked<'a> {
    name: &'static str,
    server: &'a Conninfo,
    session: Option<Session>,
}

impl<'a> Looked<'a> {
    fn new((name, server): (&'static str, &'a Conninfo)) -> Self {
        Looked {
            name,
            server,
            session: None,
        }
    }

    /// Whom sessions of ours on this database wait for, none of them ours, in words.
    async fn holders(&mut self) -> Result<Vec<String>, PgError> {
        // One that is given up half-way is not kept.
        let mut session = match self.session.take().filter(|session| !session.is_broken()) {
            Some(session) => session,
            None => Session::connect(self.server, "watch").await?,
        };
        let ours = "SELECT coalesce(array_agg(a.pid), '{}') FROM pg_catalog.pg_stat_activity a \
                    WHERE a.application_name LIKE 'trunkline %' \
                      AND a.datname = pg_catalog.current_database()";
        let ours: Vec<i32> = session.query_one(ours, &[]).await?.get(0)?;
        let sql = include_str!("sql/held_up.sql");
        let rows = session.query(sql, &[&ours]).await?;
        self.session = Some(session);
        rows.iter().map(|row| row.get(0)).collect()
    }
}
