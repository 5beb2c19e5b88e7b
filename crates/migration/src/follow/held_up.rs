//! While a change waits on the target, for a reader's lock or a standby that does not answer,
//! nobody looks at anything: this says whom it waits for, keeps the source's budget of log, and
//! lets go when it is told to stop. Costs nothing while changes flow.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;
use trunkline_postgres::{Canceller, OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::Leg;
use crate::limits::{HELD_UP_AFTER, HELD_UP_ANSWER, HELD_UP_LOOK};
use crate::observer::{Notice, Observer};
use crate::plan::Plan;
use crate::relay;
use crate::run::{LogBudget, Pulse, Run, ask_source};

/// What it needs, none of it of the stream itself.
pub(super) struct HeldUp<'a> {
    plan: &'a Plan,
    observer: &'a dyn Observer,
    cancel: CancellationToken,
    pulse: Pulse,
    log_budget: LogBudget<'a>,
    leg: Leg,
    /// Not where the side that changes come from takes nobody, or nobody unseen.
    looks_at_log: bool,
    /// Those that write there.
    writers: [Canceller; 2],
}

impl<'a> HeldUp<'a> {
    pub(super) fn new(
        run: &Run<'a>,
        (leg, looks_at_log): (&Leg, bool),
        writers: [Canceller; 2],
    ) -> Self {
        HeldUp {
            plan: run.plan,
            observer: run.observer,
            cancel: run.cancel.clone(),
            pulse: run.pulse(),
            log_budget: run.log_budget.clone(),
            leg: leg.clone(),
            looks_at_log,
            writers,
        }
    }

    /// Looks for as long as it is polled, or until the source keeps too much of its log.
    pub(super) async fn watch(self) -> Error {
        let mut said = BTreeSet::new();
        loop {
            tokio::time::sleep(HELD_UP_LOOK).await;
            let last = self.pulse.last();
            if last.is_none_or(|last| last.elapsed() < HELD_UP_AFTER) {
                said.clear();
                continue;
            }
            // A server that does not answer shows elsewhere.
            if self.looks_at_log
                && let Ok(Ok(kept)) = tokio::time::timeout(HELD_UP_ANSWER, self.kept_bytes()).await
                && let Err(refused) = self.log_budget.keep(self.leg.way, kept)
            {
                self.end_writers().await;
                return refused;
            }
            let looked = tokio::time::timeout(HELD_UP_ANSWER, self.holders()).await;
            let Ok(Ok(holders)) = looked else { continue };
            if self.cancel.is_cancelled() && !holders.is_empty() {
                // What is waited for may never come: the statement ends, and with it the command.
                self.end_writers().await;
            }
            for who in holders {
                let warning = format!("changes wait on the {} for {who}", self.leg.way.to());
                if said.insert(who) {
                    self.observer.notice(Notice::Warning(&warning));
                }
            }
        }
    }

    async fn end_writers(&self) {
        for writer in &self.writers {
            let _sent = tokio::time::timeout(HELD_UP_ANSWER, writer.cancel()).await;
        }
    }

    async fn kept_bytes(&self) -> Result<u64, Error> {
        let from = self.leg.way.from();
        let doing = "connecting to watch the log that is kept";
        let session = Session::connect(self.plan.server(from), "watch").await;
        let mut session = session.on(from, doing)?;
        let mut relay = match self.plan.relay_of(from) {
            Some(relay) => Some(relay::connect(&relay.server, "watch").await?),
            None => None,
        };
        let look = ask_source(self.plan, &mut session, relay.as_mut(), &self.leg).await?;
        for session in std::iter::once(session).chain(relay) {
            session.close().await;
        }
        Ok(look.kept_bytes)
    }

    async fn holders(&self) -> Result<Vec<String>, PgError> {
        let mut session = Session::connect(self.plan.server(self.leg.way.to()), "watch").await?;
        let sql = include_str!("../sql/held_up.sql");
        let writers: Vec<i32> = self.writers.iter().map(Canceller::process_id).collect();
        let rows = session.query(sql, &[&writers]).await?;
        session.close().await;
        rows.iter().map(|row| row.get(0)).collect()
    }
}
