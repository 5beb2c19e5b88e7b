//! Many tables compared side by side, each on both servers at once. Holds always: both
//! sides are read under the snapshots that the caller named, so writers do not matter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use trunkline_changes::{Side, TableName, quote_literal};
use trunkline_postgres::{Conninfo, Fault, OnSide, PgError, Session};

use crate::checksum::{Checksum, Reading, checksum};
use crate::emptied::{keep_from_emptying, was_rewritten};
use crate::verdict::{Outcome, TableVerdict, judge};

/// A table of the target and the tables of the source whose rows it holds (usually one; the
/// leaves of a partitioned table where the target is partitioned otherwise).
#[derive(Clone, Debug)]
pub struct Comparison {
    /// On the target.
    pub target: TableName,
    /// Which of its rows.
    pub target_reading: Reading,
    /// On the source, each read by itself.
    pub sources: Vec<TableName>,
    /// The columns, by name, in one order for both sides.
    pub columns: Vec<String>,
}

/// The state that both sides are read in.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// Exported snapshots of the two sides, taken at the same position.
    Snapshots {
        /// The source's.
        source: &'a str,
        /// The target's.
        target: &'a str,
    },
    /// The latest state: right only where nobody writes.
    Latest,
}

/// Pairs of sessions that compare tables.
pub struct Comparer {
    workers: Vec<Worker>,
    /// Tables that were to be kept from being emptied, and could not be: reading them would
    /// wait for whoever has them.
    taken: Vec<(Side, TableName)>,
}

struct Worker {
    source: Session,
    target: Session,
}

impl Comparer {
    /// Connects `jobs` pairs.
    pub async fn connect(source: &Conninfo, target: &Conninfo, jobs: usize) -> Result<Self, Fault> {
        let doing = "connecting to compare tables";
        let mut workers = Vec::with_capacity(jobs);
        for _ in 0..jobs.max(1) {
            workers.push(Worker {
                source: Session::connect(source, "verify")
                    .await
                    .on(Side::Source, doing)?,
                target: Session::connect(target, "verify")
                    .await
                    .on(Side::Target, doing)?,
            });
        }
        Ok(Comparer {
            workers,
            taken: Vec::new(),
        })
    }

    /// The process ids of the source's sessions: they may stay through a fence.
    pub fn source_process_ids(&self) -> Vec<i32> {
        self.workers
            .iter()
            .map(|worker| worker.source.process_id())
            .collect()
    }

    /// Puts every session into the state that is to be read. Once this returns, exporting
    /// transactions may end.
    pub async fn enter(&mut self, view: View<'_>) -> Result<(), Fault> {
        let (source, target) = match view {
            View::Snapshots { source, target } => (Some(source), Some(target)),
            View::Latest => (None, None),
        };
        self.enter_side(Side::Source, source, &[]).await?;
        self.enter_side(Side::Target, target, &[]).await
    }

    /// The same for one side alone. The tables that are named are kept from being emptied
    /// from now on, which only a comparer of one pair may ask for: a second session would
    /// wait behind whoever wants to empty them, and that one for the first.
    pub async fn enter_side(
        &mut self,
        side: Side,
        snapshot: Option<&str>,
        kept: &[TableName],
    ) -> Result<(), Fault> {
        let doing = "opening a snapshot to compare tables";
        let import = snapshot.map(import).unwrap_or_default();
        for worker in &mut self.workers {
            let session = match side {
                Side::Source => &mut worker.source,
                Side::Target => &mut worker.target,
            };
            let entered = async {
                session.batch(&begin(&import)).await?;
                let taken = keep_from_emptying(session, kept).await?;
                session.batch(&format!("SAVEPOINT {BEFORE_TABLE}")).await?;
                Ok(taken)
            };
            let taken = entered.await.on(side, doing)?;
            self.taken
                .extend(taken.into_iter().map(|table| (side, table)));
        }
        Ok(())
    }

    /// Compares tables in the order given; `each` hears every verdict as it comes. The
    /// sessions end with it.
    ///
    /// # Panics
    /// When a comparing task panics, which is a fault of this crate.
    pub async fn compare(
        self,
        comparisons: Vec<Comparison>,
        mut each: impl FnMut(&TableVerdict),
    ) -> Result<Vec<TableVerdict>, Fault> {
        let (sender, mut receiver) = mpsc::channel(self.workers.len());
        let (left_out, comparisons): (Vec<_>, Vec<_>) = comparisons
            .into_iter()
            .partition(|c| is_taken(c, &self.taken));
        let queue: Queue = Arc::new(Mutex::new(comparisons.into()));
        let mut tasks = JoinSet::new();
        for worker in self.workers {
            tasks.spawn(worker.work(Arc::clone(&queue), sender.clone()));
        }
        drop(sender);
        let unread = left_out
            .into_iter()
            .map(|c| TableVerdict::disturbed(c.target));
        let mut verdicts: Vec<TableVerdict> = unread.collect();
        while let Some(verdict) = receiver.recv().await {
            each(&verdict);
            verdicts.push(verdict);
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a comparison does not panic")?;
        }
        verdicts.sort_by(|a, b| a.table.cmp(&b.table));
        Ok(verdicts)
    }
}

fn is_taken(comparison: &Comparison, taken: &[(Side, TableName)]) -> bool {
    taken.iter().any(|(side, table)| match side {
        Side::Source => comparison.sources.contains(table),
        Side::Target => comparison.target == *table,
    })
}

fn begin(import: &str) -> String {
    // A source that was just fenced is read-only in any case; both sides are only read.
    format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY{import}")
}

/// Locks taken after it are given back by going back to it.
const BEFORE_TABLE: &str = "before_table";

fn import(snapshot: &str) -> String {
    format!("; SET TRANSACTION SNAPSHOT {}", quote_literal(snapshot))
}

type Queue = Arc<Mutex<VecDeque<Comparison>>>;

impl Worker {
    async fn work(
        mut self,
        queue: Queue,
        verdicts: mpsc::Sender<TableVerdict>,
    ) -> Result<(), Fault> {
        loop {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(comparison) = next else {
                self.source.close().await;
                self.target.close().await;
                return Ok(());
            };
            let verdict = self.compare(&comparison).await?;
            if verdicts.send(verdict).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn compare(&mut self, comparison: &Comparison) -> Result<TableVerdict, Fault> {
        let began = Instant::now();
        let Worker { source, target } = self;
        let doing = || format!("computing the checksum of {}", comparison.target);
        let ((source, source_gone), (target, target_gone)) = tokio::try_join!(
            async {
                let sum = source_checksum(source, comparison).await;
                sum.on(Side::Source, doing())
            },
            async {
                let sum = target_checksum(target, comparison).await;
                sum.on(Side::Target, doing())
            },
        )?;
        let name = comparison.target.clone();
        let mut verdict = judge(name, &source, &target, began.elapsed());
        if source_gone || target_gone {
            verdict.outcome = Outcome::Disturbed;
        }
        Ok(verdict)
    }
}

/// Gives back the locks on the tables that were read, so that whoever empties one of them
/// waits for no other comparison.
async fn release(session: &mut Session) -> Result<(), PgError> {
    let sql = format!("ROLLBACK TO SAVEPOINT {BEFORE_TABLE}");
    session.batch(&sql).await?;
    Ok(())
}

/// The checksum, and whether a table was emptied meanwhile.
async fn source_checksum(
    session: &mut Session,
    comparison: &Comparison,
) -> Result<(Checksum, bool), PgError> {
    let (mut whole, mut gone) = (Checksum::default(), false);
    for table in &comparison.sources {
        let part = checksum(session, table, Reading::Only, &comparison.columns).await?;
        whole = whole.and(&part);
        gone |= was_rewritten(session, table).await?;
        release(session).await?;
    }
    Ok((whole, gone))
}

async fn target_checksum(
    session: &mut Session,
    comparison: &Comparison,
) -> Result<(Checksum, bool), PgError> {
    let (table, reading) = (&comparison.target, comparison.target_reading);
    let sum = checksum(session, table, reading, &comparison.columns).await?;
    let gone = was_rewritten(session, table).await?;
    release(session).await?;
    Ok((sum, gone))
}
