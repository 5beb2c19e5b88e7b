//! Following from far behind: the slot is read by SQL, a batch at a time, and what is durable
//! on the other side is given free.

use std::time::Instant;

use trunkline_apply::Durability;
use trunkline_capture::{BatchReader, Mode, Pulled};
use trunkline_changes::Lsn;

use super::{Goal, Reached, Stream};
use crate::error::Error;
use crate::limits::{ADVANCE_EVERY, BACKLOG_LINGER, PEEK_MESSAGES};
use crate::run::Run;

impl Stream {
    /// Reads by SQL while the source is far ahead.
    pub(super) async fn read_batches(
        &mut self,
        run: &mut Run<'_>,
        goal: Goal,
    ) -> Result<Option<Reached>, Error> {
        if let Some(live) = self.live.take() {
            // Read again, as nothing behind the position was applied.
            self.held.clear();
            live.stop().await?;
        }
        let mut reader = match self.batch.take() {
            Some(reader) => reader,
            None => self.open_batch().await?,
        };
        self.applier.set_linger(BACKLOG_LINGER);
        let reached = loop {
            reader.peek(self.position, None, PEEK_MESSAGES).await?;
            if let Some(reached) = self.take_batch(&mut reader, run, goal).await? {
                break Some(reached);
            }
            if let Some(reached) = self.tick(run, goal).await? {
                break Some(reached);
            }
            let lag = self.readable_lag().await;
            if self.choose(lag) == Mode::Live {
                self.commit(Durability::Durable).await?;
                break None;
            }
        };
        if reached.is_some() {
            self.batch = Some(reader);
        } else {
            self.end_batches(reader).await?;
        }
        Ok(reached)
    }

    async fn take_batch(
        &mut self,
        reader: &mut BatchReader,
        run: &mut Run<'_>,
        goal: Goal,
    ) -> Result<Option<Reached>, Error> {
        loop {
            let pulled = self.pull_or_write(reader, run).await?;
            match pulled {
                Pulled::Events(events) => {
                    if self.push(events, goal).await?.is_some() {
                        return Ok(Some(Reached::Goal));
                    }
                    if let Some(reached) = self.tick(run, goal).await? {
                        return Ok(Some(reached));
                    }
                }
                Pulled::Idle { .. } => {}
                Pulled::EndOfBatch { covered, .. } => {
                    // Each advance reads the log once more: not behind every batch, unless the
                    // next one begins where the slot stands.
                    let due = self.last_advance.elapsed() >= ADVANCE_EVERY;
                    if covered.is_none() && !due && reader.reads_ahead() {
                        // More is there, and on its way: the target is not waited for.
                        return Ok(None);
                    }
                    self.commit(Durability::Durable).await?;
                    let mut durable = self.applier.durable();
                    if let Some(covered) = covered {
                        self.record_confirmed(run, covered).await?;
                        durable = durable.max(covered.lsn());
                    }
                    self.position = self.position.max(durable);
                    self.advance(reader, durable).await?;
                    return Ok(None);
                }
            }
        }
    }

    /// The next part of a batch. Where it takes the source long, what waits is written meanwhile.
    async fn pull_or_write(
        &mut self,
        reader: &mut BatchReader,
        run: &mut Run<'_>,
    ) -> Result<Pulled, Error> {
        let mut pull = std::pin::pin!(reader.pull());
        loop {
            tokio::select! {
                pulled = &mut pull => return Ok(pulled?),
                () = tokio::time::sleep(BACKLOG_LINGER), if self.applier.is_waiting() => {
                    self.commit(Durability::Fast).await?;
                }
                () = run.cancel.cancelled() => return Err(self.interrupted(run).await?),
            }
        }
    }

    /// Ends the reader, with the slot at what is durable.
    pub(super) async fn end_batches(&mut self, mut reader: BatchReader) -> Result<(), Error> {
        self.advance(&mut reader, self.applier.durable()).await?;
        reader.stop().await;
        Ok(())
    }

    /// Gives the log free up to what is durable on the other side.
    async fn advance(&mut self, reader: &mut BatchReader, durable: Lsn) -> Result<(), Error> {
        // A run that was killed may have left the slot behind what it recorded.
        if durable > self.confirmed || !reader.reads_ahead() {
            match reader.advance(durable).await {
                Ok(_) => self.confirmed = self.confirmed.max(durable),
                // Reading goes on all the same; a later advance gives the log free.
                Err(error) if reader.reads_ahead() && error.may_reopen() => {
                    tracing::warn!(%error, "the slot stays where it is for now");
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.last_advance = Instant::now();
        Ok(())
    }
}
