//! While a change waits on the target, for a reader's lock or a standby that does not answer,
//! nobody looks at anything: this says whom it waits for, and lets go when it is told to stop.
//! Costs nothing while changes flow.

use std::collections::BTreeSet;
use std::convert::Infallible;

use tokio_util::sync::CancellationToken;
use trunkline_changes::Side;
use trunkline_postgres::{Canceller, Conninfo, PgError, Session};

use crate::limits::{CANCEL_WITHIN, HELD_UP_AFTER, HELD_UP_LOOK};
use crate::observer::{Notice, Observer};
use crate::run::{Pulse, Run};

/// What it needs, none of it of the stream itself.
pub(super) struct HeldUp<'a> {
    observer: &'a dyn Observer,
    cancel: CancellationToken,
    pulse: Pulse,
    side: Side,
    server: &'a Conninfo,
    writer: Canceller,
}

impl<'a> HeldUp<'a> {
    pub(super) fn new(run: &Run<'a>, side: Side, writer: Canceller) -> Self {
        HeldUp {
            observer: run.observer,
            cancel: run.cancel.clone(),
            pulse: run.pulse(),
            side,
            server: run.plan.server(side),
            writer,
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
            if self.cancel.is_cancelled() {
                // What it waits for may never come: its statement ends, and with it the command.
                let _sent = tokio::time::timeout(CANCEL_WITHIN, self.writer.cancel()).await;
                continue;
            }
            // A server that does not answer shows elsewhere.
            let looked = tokio::time::timeout(CANCEL_WITHIN, self.holders()).await;
            let Ok(Ok(holders)) = looked else { continue };
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
        let rows = session.query(sql, &[&self.writer.process_id()]).await?;
        session.close().await;
        rows.iter().map(|row| row.get(0)).collect()
    }
}
