//! While a change waits on the target, for a reader's lock or a standby that does not answer,
//! nobody looks at anything: this says whom it waits for, and lets go when it is told to stop.
//! Costs nothing while changes flow.

use std::collections::BTreeSet;
use std::convert::Infallible;

use tokio_util::sync::CancellationToken;
use trunkline_changes::Side;
use trunkline_postgres::{Canceller, Conninfo, PgError, Session};

use crate::limits::{HELD_UP_AFTER, HELD_UP_ANSWER, HELD_UP_LOOK};
use crate::observer::{Notice, Observer};
use crate::run::{Pulse, Run};

/// What it needs, none of it of the stream itself.
pub(super) struct HeldUp<'a> {
    observer: &'a dyn Observer,
    cancel: CancellationToken,
    pulse: Pulse,
    side: Side,
    server: &'a Conninfo,
    /// Those that write there.
    writers: [Canceller; 2],
}

impl<'a> HeldUp<'a> {
    pub(super) fn new(run: &Run<'a>, side: Side, writers: [Canceller; 2]) -> Self {
        HeldUp {
            observer: run.observer,
            cancel: run.cancel.clone(),
            pulse: run.pulse(),
            side,
            server: run.plan.server(side),
            writers,
        }
    }

    /// Looks for as long as it is polled.
    pub(super) async fn watch(self) -> Infallible {
        let mut said = BTreeSet::new();
        loop {
            tokio::time::sleep(HELD_UP_LOOK).await;
            let last = self.pulse.last();
            if last.is_none_or(|last| last.elapsed() < HELD_UP_AFTER) {
                said.clear();
                continue;
            }
            // A server that does not answer shows elsewhere.
            let looked = tokio::time::timeout(HELD_UP_ANSWER, self.holders()).await;
            let Ok(Ok(holders)) = looked else { continue };
            if self.cancel.is_cancelled() && !holders.is_empty() {
                // What is waited for may never come: the statement ends, and with it the command.
                for writer in &self.writers {
                    let _sent = tokio::time::timeout(HELD_UP_ANSWER, writer.cancel()).await;
                }
            }
            for who in holders {
                let warning = format!("changes wait on the {} for {who}", self.side);
                if said.insert(who) {
                    self.observer.notice(Notice::Warning(&warning));
                }
            }
        }
    }

    async fn holders(&self) -> Result<Vec<String>, PgError> {
        let mut session = Session::connect(self.server, "watch").await?;
        let sql = include_str!("../sql/held_up.sql");
        let writers: Vec<i32> = self.writers.iter().map(Canceller::process_id).collect();
        let rows = session.query(sql, &[&writers]).await?;
        session.close().await;
        rows.iter().map(|row| row.get(0)).collect()
    }
}
