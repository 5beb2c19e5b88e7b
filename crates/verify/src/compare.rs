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

/// A table of the server that changes go to, and the tables of the server that they come from
/// whose rows it holds (usually one; the leaves of a partitioned table where the other side
/// is partitioned otherwise).
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Where changes go to.
    pub target: TableName,
    /// Which of its rows.
    pub target_reading: Reading,
    /// Where changes come from, each read by itself.
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
    /// The server whose tables are [`Comparison::sources`].
    from: Side,
    /// Tables that were to be kept from being emptied, and could not be: reading them would
    /// wait for whoever has them.
    taken: Vec<(Side, TableName)>,
}

struct Worker {
    from: Session,
    to: Session,
    sides: (Side, Side),
}

impl Comparer {
    /// Connects `jobs` pairs. `from` is the server that changes come from, and `to` the one
    /// that they go to: [`Comparison::sources`] lie on the first, [`Comparison::target`] on
    /// the second.
    pub async fn connect(
        from: (Side, &Conninfo),
        to: (Side, &Conninfo),
        jobs: usize,
    ) -> Result<Self, Fault> {
        let doing = "connecting to compare tables";
        let mut workers = Vec::with_capacity(jobs);
        for _ in 0..jobs.max(1) {
            workers.push(Worker {
                from: Session::connect(from.1, "verify").await.on(from.0, doing)?,
                to: Session::connect(to.1, "verify").await.on(to.0, doing)?,
                sides: (from.0, to.0),
            });
        }
        Ok(Comparer {
            workers,
            from: from.0,
            taken: Vec::new(),
        })
    }

    /// The process ids of the sessions on the server that changes come from: they may stay
    /// through its fence.
    pub fn process_ids(&self) -> Vec<i32> {
        self.workers
            .iter()
            .map(|worker| worker.from.process_id())
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
            let session = if side == worker.sides.0 {
                &mut worker.from
            } else {
                &mut worker.to
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
            .partition(|c| is_taken(c, self.from, &self.taken));
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

fn is_taken(comparison: &Comparison, from: Side, taken: &[(Side, TableName)]) -> bool {
    taken.iter().any(|(side, table)| {
        if *side == from {
            comparison.sources.contains(table)
        } else {
            comparison.target == *table
        }
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
                self.from.close().await;
                self.to.close().await;
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
        let Worker { from, to, sides } = self;
        let doing = || format!("computing the checksum of {}", comparison.target);
        let ((from, from_gone), (to, to_gone)) = tokio::try_join!(
            async {
                let sum = sum_of_sources(from, comparison).await;
                sum.on(sides.0, doing())
            },
            async {
                let sum = sum_of_target(to, comparison).await;
                sum.on(sides.1, doing())
            },
        )?;
        let name = comparison.target.clone();
        let (source, target) = match sides.0 {
            Side::Source => (&from, &to),
            Side::Target => (&to, &from),
        };
        let mut verdict = judge(name, source, target, began.elapsed());
        if from_gone || to_gone {
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
async fn sum_of_sources(
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

async fn sum_of_target(
    session: &mut Session,
    comparison: &Comparison,
) -> Result<(Checksum, bool), PgError> {
    let (table, reading) = (&comparison.target, comparison.target_reading);
    let sum = checksum(session, table, reading, &comparison.columns).await?;
    let gone = was_rewritten(session, table).await?;
    release(session).await?;
    Ok((sum, gone))
}
