//! What waits goes to the writer, and what the writer did comes back: one batch is written
//! while the next one is prepared and the one after that gathered, which keeps the target and
//! this process at work at the same time. Holds always: a batch is written only once the one
//! before it is on the target.

use std::time::Instant;

use trunkline_changes::Side;
use trunkline_postgres::OnSide;

use crate::applier::Applier;
use crate::error::ApplyError;
use crate::limits::DURABLE_EVERY;
use crate::options::Durability;
use crate::place::Job;
use crate::progress;

impl Applier {
    /// Keeps what waits inside its bounds: first by committing whole transactions, then by
    /// writing a part of the one that is under way.
    pub(crate) async fn make_room(&mut self) -> Result<(), ApplyError> {
        let rows = self.whole.entries.len() + self.partial.entries.len();
        let bytes = self.whole.bytes + self.partial.bytes + self.passed_over;
        let tables = self.whole.tables_with(&self.partial);
        if rows < self.bounds.batch_rows
            && bytes < self.bounds.batch_bytes
            && tables < self.bounds.batch_tables
        {
            return Ok(());
        }
        if self.waiting.is_some() {
            self.submit_whole(Durability::Fast).await?;
        }
        let passed_over = self.passed_over >= self.bounds.batch_bytes;
        if self.partial.exceeds(&self.bounds) || passed_over && !self.partial.entries.is_empty() {
            self.submit_partial().await?;
        }
        Ok(())
    }

    /// Writes what waits, so that something can be done in its place: whole transactions are
    /// committed, the one that is under way is open on the target.
    pub(crate) async fn write_what_waits(&mut self) -> Result<(), ApplyError> {
        if self.waiting.is_some() {
            self.submit_whole(Durability::Fast).await?;
        }
        self.submit_partial().await?;
        self.settle().await
    }

    pub(crate) async fn flush_whole(&mut self, durability: Durability) -> Result<(), ApplyError> {
        self.settle().await?;
        if self.parted {
            return Ok(());
        }
        if self.waiting.is_some() {
            self.submit_whole(durability).await?;
            return self.settle().await;
        }
        if durability == Durability::Durable && self.durable < self.applied {
            let writer = self.writer.here()?;
            progress::touch(&mut writer.session, &writer.migration)
                .await
                .on(Side::Target, "making the progress durable")?;
            self.durable = self.applied;
            self.durable_at = Instant::now();
        }
        Ok(())
    }

    /// Gives whole transactions to the writer, to be committed.
    pub(crate) async fn submit_whole(&mut self, durability: Durability) -> Result<(), ApplyError> {
        self.make_way().await?;
        let Some(position) = self.waiting.take() else {
            return Ok(());
        };
        self.waiting_since = None;
        self.parted = false;
        self.passed_over = 0;
        let durability = match durability {
            Durability::Fast if self.durable_at.elapsed() < DURABLE_EVERY => Durability::Fast,
            Durability::Fast | Durability::Durable => {
                self.durable_at = Instant::now();
                Durability::Durable
            }
        };
        let spare = self.spare.pop().unwrap_or_default();
        let mut stats = std::mem::take(&mut self.pending_stats);
        stats.batches += 1;
        self.writer.begin(Job {
            pending: std::mem::replace(&mut self.whole, spare),
            bounds: self.bounds,
            commit: Some((position, durability)),
            stats,
        });
        Ok(())
    }

    /// Gives a part of the transaction that is under way to the writer.
    async fn submit_partial(&mut self) -> Result<(), ApplyError> {
        self.make_way().await?;
        self.parted = true;
        self.passed_over = 0;
        let spare = self.spare.pop().unwrap_or_default();
        self.writer.begin(Job {
            pending: std::mem::replace(&mut self.partial, spare),
            bounds: self.bounds,
            commit: None,
            stats: std::mem::take(&mut self.pending_stats),
        });
        Ok(())
    }

    /// Waits until another batch may go on its way.
    async fn make_way(&mut self) -> Result<(), ApplyError> {
        while self.writer.is_full() {
            if let Some(job) = self.writer.come_back().await? {
                self.is_written(job);
            }
        }
        Ok(())
    }

    /// Waits for every batch on its way; the writer is here then. Of failures the first is
    /// given: it is why the others were not written.
    pub(crate) async fn settle(&mut self) -> Result<(), ApplyError> {
        let mut outcome = Ok(());
        loop {
            let was_away = self.writer.is_away();
            match self.writer.come_back().await {
                Ok(Some(job)) => self.is_written(job),
                Ok(None) => return outcome,
                Err(error) if was_away => outcome = outcome.and(Err(error)),
                // The writer is lost.
                Err(error) => return outcome.and(Err(error)),
            }
        }
    }

    fn is_written(&mut self, job: Job) {
        self.spare.push(job.pending);
        let Some((position, durability)) = job.commit else {
            self.parts.add(&job.stats);
            return;
        };
        self.applied = position.end_lsn;
        if durability == Durability::Durable {
            self.durable = self.applied;
        }
        self.stats.add(&std::mem::take(&mut self.parts));
        self.stats.add(&job.stats);
    }

    /// Takes back what is not committed. Batches on their way come to their end first.
    pub(crate) async fn abandon(&mut self) -> Result<(), ApplyError> {
        let settled = self.settle().await;
        if let Ok(writer) = self.writer.here() {
            writer.abandon().await;
        }
        settled
    }
}
