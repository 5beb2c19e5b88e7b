//! Says whom our sessions wait for while a server is looked at, or loaded, or what we made is
//! taken away: somebody who changes a table has it for himself until his transaction ends, and may
//! have gone home. And who waits for them: a table that is copied can be read and written, but
//! not altered, and everybody who comes after the one who wants to waits behind him.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::pin::Pin;

use trunkline_postgres::{Conninfo, PgError, Session};

use crate::limits::{HELD_UP_ANSWER, WAITS_LOOK};
use crate::observer::{Notice, Observer};
use crate::plan::Plan;

/// Does `work`, and says whom it waits for, and who for it. Both lie on the heap: a future that is
/// handed on lies in each that hands it on, twice where it is chosen from, and a whole command is
/// one future on the main thread's stack.
pub(crate) fn told<T>(
    plan: &Plan,
    observer: &dyn Observer,
    work: impl Future<Output = T>,
) -> Pin<Box<impl Future<Output = T>>> {
    Box::pin(async move {
        tokio::select! {
            done = work => done,
            never = watch(plan, observer) => match never {},
        }
    })
}

async fn watch(plan: &Plan, observer: &dyn Observer) -> Infallible {
    let relay = plan.relay.as_ref().map(|relay| ("relay", &relay.server));
    let both = [("source", &plan.source), ("target", &plan.target)];
    let servers = both.into_iter().chain(relay);
    let mut servers: Vec<Looked<'_>> = servers.map(Looked::new).collect();
    let mut said = BTreeSet::new();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    loop {
        tokio::time::sleep(WAITS_LOOK).await;
        let mut now = BTreeMap::new();
        for server in &mut servers {
            // A server that does not answer shows elsewhere; what it said before counts.
            let looked = tokio::time::timeout(HELD_UP_ANSWER, server.look(&mut now)).await;
            if let Ok(Err(error)) = looked {
                tracing::debug!(server = server.name, %error, "looking who waits for whom");
            }
        }
        // Who is there at two looks waits, or is waited for, and was not just met.
        for (who, warning) in now.iter().filter(|(who, _)| seen.contains_key(*who)) {
            if said.insert(who.clone()) {
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

    /// Adds whom sessions of ours on this database wait for, and who for them, none of them ours:
    /// who it is whenever he comes again, and what is said of him.
    async fn look(&mut self, found: &mut BTreeMap<String, String>) -> Result<(), PgError> {
        let name = self.name;
        // One that is given up half-way is not kept.
        let mut session = match self.session.take().filter(|session| !session.is_broken()) {
            Some(session) => session,
            None => Session::connect(self.server, "watch").await?,
        };
        let ours = "SELECT coalesce(array_agg(a.pid), '{}') FROM pg_catalog.pg_stat_activity a \
                    WHERE a.application_name LIKE 'trunkline %' \
                      AND a.datname = pg_catalog.current_database()";
        let ours: Vec<i32> = session.query_one(ours, &[]).await?.get(0)?;
        let holders = include_str!("sql/held_up.sql");
        for row in session.query(holders, &[&ours]).await? {
            let warning = format!("waits on the {name} for {}", row.get::<String>(0)?);
            found.insert(warning.clone(), warning);
        }
        let kept_waiting = include_str!("sql/kept_waiting.sql");
        for row in session.query(kept_waiting, &[&ours]).await? {
            let (who, wants): (String, String) = (row.get(0)?, row.get(1)?);
            let warning =
                format!("{wants}: it waits on the {name} for us, and others may wait behind it");
            found.insert(format!("{name} {who}"), warning);
        }
        self.session = Some(session);
        Ok(())
    }
}
