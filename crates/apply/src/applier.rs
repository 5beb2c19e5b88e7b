//! The stream in, batches out. Owns what waits, what is applied and what is durable; a
//! source transaction is committed on the target as a whole or not at all.

use std::time::Instant;

use trunkline_changes::{Change, Lsn, Side, StreamEvent, Transaction};
use trunkline_postgres::{Conninfo, OnSide};

use crate::batch::{Action, Entry, Pending, RowChange};
use crate::cover::CopyCover;
use crate::ddl::Ddl;
use crate::error::ApplyError;
use crate::limits::{Bounds, DURABLE_EVERY};
use crate::options::{ApplyOptions, Durability};
use crate::progress::{self, Position};
use crate::routes::Routes;
use crate::session;
use crate::stats::ApplyStats;
use crate::truncate;
use crate::writer::Writer;

/// Applies one stream to one target, over one connection. Its calls are not cancel-safe:
/// one that is dropped half-way leaves the applier of no use.
pub struct Applier {
    pub(crate) writer: Writer,
    pub(crate) routes: Routes,
    pub(crate) cover: CopyCover,
    pub(crate) ddl: Ddl,
    linger: std::time::Duration,
    side: Side,
    inside: Inside,
    /// Of whole transactions.
    whole: Pending,
    /// Of the transaction that is not complete.
    partial: Pending,
    /// The end of the last whole transaction that waits.
    waiting: Option<Position>,
    waiting_since: Option<Instant>,
    pending_stats: ApplyStats,
    durable: Lsn,
    durable_at: Instant,
    stats: ApplyStats,
    spent: bool,
}

/// Where in the stream's grammar we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Between transactions.
    Nothing,
    /// In a transaction that is on the target already.
    Known,
    /// In a transaction; `unseen` when no snapshot of the copy can have seen it.
    Transaction {
        transaction: Transaction,
        unseen: bool,
    },
}

impl Applier {
    /// Connects, sets the session up and reads back both its role and the progress.
    pub async fn open(target: &Conninfo, options: ApplyOptions) -> Result<Self, ApplyError> {
        let side = options.side;
        let opened = Self::open_session(target, options).await;
        opened.map_err(|error| error.on_side(side))
    }

    async fn open_session(target: &Conninfo, options: ApplyOptions) -> Result<Self, ApplyError> {
        let mut session = session::open(target).await?;
        let progress = progress::begin(&mut session, &options.migration, options.start)
            .await
            .on(Side::Target, "reading the progress of the migration")?;
        let routes = Routes::read(&mut session, options.tables).await?;
        Ok(Applier {
            writer: Writer::new(session, options.migration, options.policy, progress.applied),
            routes,
            cover: options.cover,
            ddl: Ddl::default(),
            linger: options.linger,
            side: options.side,
            inside: Inside::Nothing,
            whole: Pending::default(),
            partial: Pending::default(),
            waiting: None,
            waiting_since: None,
            pending_stats: ApplyStats::default(),
            durable: progress.applied,
            durable_at: Instant::now(),
            stats: ApplyStats::default(),
            spent: false,
        })
    }

    /// The same with other bounds.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.writer.bounds = bounds;
        self
    }

    /// Takes one event of the stream, in order. Writes when a batch is full, and commits
    /// when whole transactions fill one or have waited for the linger time. Transactions
    /// that are applied already are passed over.
    pub async fn push(&mut self, event: StreamEvent) -> Result<(), ApplyError> {
        self.alive()?;
        let outcome = match event {
            StreamEvent::Begin(transaction) => self.begin(transaction),
            StreamEvent::Change(change) => self.change(change).await,
            StreamEvent::Commit {
                transaction,
                end_lsn,
            } => self.end(transaction, end_lsn).await,
        };
        self.note(outcome).await
    }

    /// Commits every whole transaction that was pushed. While a transaction too big for a
    /// batch is under way there is nothing that could be committed.
    pub async fn flush(&mut self, durability: Durability) -> Result<(), ApplyError> {
        self.alive()?;
        let outcome = self.flush_whole(durability).await;
        self.note(outcome).await
    }

    /// Where the commit record of the last transaction ends that is committed on the target.
    pub fn applied(&self) -> Lsn {
        self.writer.at()
    }

    /// The part of it that no crash of the target takes back: it may be confirmed to the
    /// source.
    pub fn durable(&self) -> Lsn {
        self.durable
    }

    /// Whether something whole waits for a flush.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// What was done since the applier was opened.
    pub fn stats(&self) -> ApplyStats {
        self.stats
    }

    /// Ends the session on the target at once; what was not flushed is not applied.
    pub async fn close(mut self) {
        self.writer.abandon().await;
        self.writer.session.close().await;
    }

    fn alive(&self) -> Result<(), ApplyError> {
        if self.spent {
            Err(ApplyError::Spent)
        } else {
            Ok(())
        }
    }

    async fn note(&mut self, outcome: Result<(), ApplyError>) -> Result<(), ApplyError> {
        if outcome.is_err() {
            self.spent = true;
            self.writer.abandon().await;
        }
        outcome.map_err(|error| error.on_side(self.side))
    }

    fn begin(&mut self, transaction: Transaction) -> Result<(), ApplyError> {
        if self.inside != Inside::Nothing {
            return Err(ApplyError::Stream(
                "a transaction begins inside another one",
            ));
        }
        self.ddl.begin();
        let reached = self
            .waiting
            .map_or(self.writer.at(), |position| position.end_lsn);
        self.inside = if transaction.commit_lsn < reached {
            Inside::Known
        } else {
            Inside::Transaction {
                transaction,
                unseen: self.cover.precedes(transaction.xid),
            }
        };
        Ok(())
    }

    async fn change(&mut self, change: Change) -> Result<(), ApplyError> {
        let (transaction, unseen) = match self.inside {
            Inside::Nothing => return Err(ApplyError::Stream("a change outside a transaction")),
            Inside::Known => return Ok(()),
            Inside::Transaction {
                transaction,
                unseen,
            } => (transaction, unseen),
        };
        let action = match change {
            Change::Message { prefix, content } => {
                self.ddl(transaction, &prefix, &content).await?;
                None
            }
            Change::Truncate {
                relations,
                restart_identity,
                ..
            } => {
                self.truncate(&relations, transaction.xid, restart_identity)
                    .await?
            }
            Change::Insert { relation, new } => {
                self.row(&relation, transaction.xid, unseen, RowChange::Insert(new))
                    .await?
            }
            Change::Update { relation, old, new } => {
                let change = RowChange::Update { old, new };
                self.row(&relation, transaction.xid, unseen, change).await?
            }
            Change::Delete { relation, old } => {
                self.row(&relation, transaction.xid, unseen, RowChange::Delete(old))
                    .await?
            }
        };
        let Some(action) = action else {
            return Ok(());
        };
        self.partial.push(Entry {
            transaction,
            action,
        });
        self.make_room().await
    }

    async fn row(
        &mut self,
        relation: &std::sync::Arc<trunkline_changes::Relation>,
        xid: u32,
        unseen: bool,
        change: RowChange,
    ) -> Result<Option<Action>, ApplyError> {
        let Some(route) = self
            .routes
            .route(&mut self.writer.session, relation)
            .await?
        else {
            return Ok(None);
        };
        route.must_find(&change)?;
        let kept = if unseen {
            Some(change)
        } else {
            self.cover.decide(relation, xid, change)?
        };
        if kept.is_none() {
            self.pending_stats.skipped += 1;
        }
        Ok(kept.map(|change| Action::Row { route, change }))
    }

    async fn truncate(
        &mut self,
        relations: &[std::sync::Arc<trunkline_changes::Relation>],
        xid: u32,
        restart_identity: bool,
    ) -> Result<Option<Action>, ApplyError> {
        let mut listed = Vec::with_capacity(relations.len());
        for relation in relations {
            if let Some(route) = self
                .routes
                .route(&mut self.writer.session, relation)
                .await?
            {
                let scope = self.cover.decide_truncate(&relation.name, xid)?;
                if scope == crate::cover::TruncateScope::Nothing {
                    self.pending_stats.skipped += 1;
                }
                listed.push((relation.name.clone(), route.target.clone(), scope));
            }
        }
        let truncate = truncate::gather(listed, self.routes.map(), restart_identity)?;
        Ok((!truncate.tables.is_empty()).then_some(Action::Truncate(truncate)))
    }

    async fn end(&mut self, transaction: Transaction, end_lsn: Lsn) -> Result<(), ApplyError> {
        match self.inside {
            Inside::Nothing => return Err(ApplyError::Stream("a commit outside a transaction")),
            Inside::Known => {
                self.inside = Inside::Nothing;
                return Ok(());
            }
            Inside::Transaction {
                transaction: begun, ..
            } if begun.xid != transaction.xid => {
                return Err(ApplyError::Stream(
                    "a commit of another transaction than began",
                ));
            }
            Inside::Transaction { .. } => self.inside = Inside::Nothing,
        }
        self.whole.append(&mut self.partial);
        self.waiting = Some(Position {
            end_lsn,
            commit_lsn: transaction.commit_lsn,
            committed_at_micros: transaction.committed_at_micros,
        });
        self.pending_stats.transactions += 1;
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let full = self.whole.exceeds(&self.writer.bounds);
        if self.writer.is_open() || full || since.elapsed() >= self.linger {
            self.commit_whole(Durability::Fast).await?;
        }
        Ok(())
    }

    /// Keeps what waits inside its bounds: first by committing whole transactions, then by
    /// writing a part of the one that is under way.
    async fn make_room(&mut self) -> Result<(), ApplyError> {
        let bounds = self.writer.bounds;
        let rows = self.whole.entries.len() + self.partial.entries.len();
        let bytes = self.whole.bytes + self.partial.bytes;
        if rows < bounds.batch_rows && bytes < bounds.batch_bytes {
            return Ok(());
        }
        if self.waiting.is_some() {
            self.commit_whole(Durability::Fast).await?;
        }
        if self.partial.exceeds(&bounds) {
            self.write_partial().await?;
        }
        Ok(())
    }

    /// Writes what waits, so that something can be done in its place: whole transactions are
    /// committed, the one that is under way is open on the target.
    pub(crate) async fn write_what_waits(&mut self) -> Result<(), ApplyError> {
        if self.waiting.is_some() {
            self.commit_whole(Durability::Fast).await?;
        }
        self.write_partial().await
    }

    async fn write_partial(&mut self) -> Result<(), ApplyError> {
        let part = std::mem::take(&mut self.partial);
        let written = self.writer.write_part(&part.entries).await?;
        self.partial = self.count(part, written);
        Ok(())
    }

    async fn flush_whole(&mut self, durability: Durability) -> Result<(), ApplyError> {
        if self.writer.is_open() {
            return Ok(());
        }
        if self.waiting.is_some() {
            return self.commit_whole(durability).await;
        }
        if durability == Durability::Durable && self.durable < self.writer.at() {
            progress::touch(&mut self.writer.session, &self.writer.migration)
                .await
                .on(Side::Target, "making the progress durable")?;
            self.is_durable();
        }
        Ok(())
    }

    async fn commit_whole(&mut self, durability: Durability) -> Result<(), ApplyError> {
        let Some(position) = self.waiting.take() else {
            return Ok(());
        };
        let durability = match durability {
            Durability::Fast if self.durable_at.elapsed() < DURABLE_EVERY => Durability::Fast,
            Durability::Fast | Durability::Durable => Durability::Durable,
        };
        let whole = std::mem::take(&mut self.whole);
        let written = self
            .writer
            .commit(&whole.entries, position, durability)
            .await?;
        self.whole = self.count(whole, written);
        self.waiting_since = None;
        if durability == Durability::Durable {
            self.is_durable();
        }
        self.pending_stats.batches += 1;
        self.stats.add(&std::mem::take(&mut self.pending_stats));
        Ok(())
    }

    fn is_durable(&mut self) {
        self.durable = self.writer.at();
        self.durable_at = Instant::now();
    }

    /// Counts what was written, and gives its memory back for what comes next.
    fn count(&mut self, pending: Pending, written: ApplyStats) -> Pending {
        let stats = &mut self.pending_stats;
        pending.entries.iter().for_each(|e| e.count_in(stats));
        stats.add(&written);
        pending.emptied()
    }
}
