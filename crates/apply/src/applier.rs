//! The stream in, batches out. Owns what waits, what is applied and what is durable; a
//! source transaction is committed on the target as a whole or not at all. While one batch
//! is written, the next ones are prepared and gathered (`submit`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_changes::{Change, Lsn, Relation, Side, StreamEvent, Transaction};
use trunkline_postgres::{Canceller, Conninfo, OnSide};

use crate::batch::{Action, Entry, Pending, RowChange};
use crate::cover::CopyCover;
use crate::ddl::Ddl;
use crate::error::ApplyError;
use crate::limits::Bounds;
use crate::options::{ApplyOptions, Durability};
use crate::place::Place;
use crate::progress::{self, Position};
use crate::route::Route;
use crate::routes::Routes;
use crate::session;
use crate::stats::ApplyStats;
use crate::truncate;
use crate::writer::Writer;

/// Applies one stream to one target, over one connection. Its calls are not cancel-safe:
/// one that is dropped half-way leaves the applier of no use.
pub struct Applier {
    pub(crate) writer: Place,
    pub(crate) routes: Routes,
    pub(crate) cover: CopyCover,
    pub(crate) ddl: Ddl,
    pub(crate) bounds: Bounds,
    linger: Duration,
    side: Side,
    inside: Inside,
    /// Of whole transactions.
    pub(crate) whole: Pending,
    /// Of the transaction that is not complete.
    pub(crate) partial: Pending,
    /// Bytes of changes that were passed over since the last batch.
    pub(crate) passed_over: usize,
    /// The memory of the batches before.
    pub(crate) spare: Vec<Pending>,
    /// Whether a part of a transaction was given to the writer, and not its end.
    pub(crate) parted: bool,
    /// The end of the last whole transaction that waits.
    pub(crate) waiting: Option<Position>,
    pub(crate) waiting_since: Option<Instant>,
    pub(crate) pending_stats: ApplyStats,
    /// Of parts that are written, and not committed yet.
    pub(crate) parts: ApplyStats,
    pub(crate) applied: Lsn,
    pub(crate) durable: Lsn,
    pub(crate) durable_at: Instant,
    pub(crate) stats: ApplyStats,
    spent: bool,
    canceller: Canceller,
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
        let locks = session.lock_room().await;
        let bounds = Bounds::within(locks.on(Side::Target, "reading its settings")?);
        session::pin(&mut session).await?;
        let canceller = session.canceller();
        let writer = Writer::new(session, options.migration, options.policy, progress.applied);
        Ok(Applier {
            writer: Place::of(writer),
            routes,
            cover: options.cover,
            ddl: Ddl::default(),
            bounds,
            linger: options.linger,
            side: options.side,
            inside: Inside::Nothing,
            whole: Pending::default(),
            partial: Pending::default(),
            passed_over: 0,
            spare: Vec::new(),
            parted: false,
            waiting: None,
            waiting_since: None,
            pending_stats: ApplyStats::default(),
            parts: ApplyStats::default(),
            applied: progress.applied,
            durable: progress.applied,
            durable_at: Instant::now(),
            stats: ApplyStats::default(),
            spent: false,
            canceller,
        })
    }

    /// Which process of the target writes, and how its statement is ended from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// The same with other bounds.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// How long whole transactions wait for company from now on: little while the stream is
    /// read as it comes, long while a backlog is drained.
    pub fn set_linger(&mut self, linger: Duration) {
        self.linger = linger;
    }

    /// Takes one event of the stream, in order. Writes when a batch is full, and commits
    /// when whole transactions fill one or have waited for the linger time; one batch at a
    /// time is written while the next ones are prepared and pushed, and how that went shows in
    /// a later call.
    /// Transactions that are applied already are passed over.
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

    /// Where the commit record of the last transaction ends that is known to be committed on
    /// the target.
    pub fn applied(&self) -> Lsn {
        self.applied
    }

    /// The part of it that no crash of the target takes back: it may be confirmed to the
    /// source.
    pub fn durable(&self) -> Lsn {
        self.durable
    }

    /// Whether something whole waits for a flush.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some() || self.writer.is_away()
    }

    /// What was done since the applier was opened.
    pub fn stats(&self) -> ApplyStats {
        self.stats
    }

    /// Ends the session on the target, behind the batch that is being written; what waits is
    /// not applied.
    pub async fn close(mut self) {
        // What becomes of the batch that is being written, nobody asks any more.
        let _abandoned = self.abandon().await;
        if let Some(writer) = self.writer.leave() {
            writer.session.close().await;
        }
    }

    fn alive(&self) -> Result<(), ApplyError> {
        if self.spent {
            Err(ApplyError::Spent)
        } else {
            Ok(())
        }
    }

    async fn note(&mut self, mut outcome: Result<(), ApplyError>) -> Result<(), ApplyError> {
        if outcome.is_err() {
            self.spent = true;
            // What the batch that is written met comes first in the stream.
            match self.abandon().await {
                Ok(()) | Err(ApplyError::Spent) => {}
                earlier => outcome = earlier,
            }
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
        let given = self.waiting.or(self.writer.goes_to());
        let reached = given.map_or(self.applied, |position| position.end_lsn);
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
            return self.make_room().await;
        };
        self.partial.push(Entry {
            transaction,
            action,
        });
        self.make_room().await
    }

    async fn row(
        &mut self,
        relation: &Arc<Relation>,
        xid: u32,
        unseen: bool,
        change: RowChange,
    ) -> Result<Option<Action>, ApplyError> {
        let Some(route) = self.route(relation).await? else {
            self.pass_over(change.bytes());
            return Ok(None);
        };
        route.must_find(&change)?;
        let kept = if unseen {
            Some(change)
        } else {
            let bytes = change.bytes();
            let kept = self.cover.decide(relation, xid, change)?;
            if kept.is_none() {
                self.pending_stats.skipped += 1;
                self.pass_over(bytes);
            }
            kept
        };
        Ok(kept.map(|change| Action::Row { route, change }))
    }

    /// A change that is not kept lies in the same memory as one that is: it counts while
    /// something waits.
    fn pass_over(&mut self, bytes: usize) {
        if !(self.whole.entries.is_empty() && self.partial.entries.is_empty()) {
            self.passed_over += bytes;
        }
    }

    async fn route(&mut self, relation: &Arc<Relation>) -> Result<Option<Arc<Route>>, ApplyError> {
        if let Some(route) = self.routes.known(relation) {
            return Ok(Some(route));
        }
        let Some(target) = self.routes.destination(relation)? else {
            return Ok(None);
        };
        if let Some(route) = self.routes.first(relation, &target)? {
            return Ok(Some(route));
        }
        self.settle().await?;
        let session = &mut self.writer.here()?.session;
        let route = self.routes.route(session, relation, &target).await?;
        Ok(Some(route))
    }

    async fn truncate(
        &mut self,
        relations: &[Arc<Relation>],
        xid: u32,
        restart_identity: bool,
    ) -> Result<Option<Action>, ApplyError> {
        let mut listed = Vec::with_capacity(relations.len());
        for relation in relations {
            if let Some(route) = self.route(relation).await? {
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
        let rests =
            self.writer.is_idle() && self.whole.entries.len() >= self.bounds.batch_rows_idle;
        let full = rests || self.whole.exceeds(&self.bounds);
        if self.parted || full || since.elapsed() >= self.linger {
            self.submit_whole(Durability::Fast).await?;
        }
        Ok(())
    }
}
