//! Many tables compared side by side, each on both servers at once. Holds always: both
//! sides are read under the snapshots that the caller named, so writers do not matter.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use trunkline_changes::{Pool, Side, TableName, quote_literal};
use trunkline_postgres::{Canceller, Conninfo, Fault, OnSide, Session};

use crate::comparison::Comparison;
use crate::difference::{DifferenceKind, RowDifference};
use crate::emptied::{keep_from_emptying, was_rewritten};
use crate::facts::TableFacts;
use crate::hashing::{Hashing, HashingFacts};
use crate::limits::{NAMED_IN_A_TABLE, STUDIED_AT_ONCE};
use crate::shape::Shape;
use crate::verdict::{RowCounts, TableVerdict, Tally};
use crate::worker::{BEFORE_TABLE, Part, Queue, Task, Worker};

const STUDYING: &str = "reading the catalog to compare tables";

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

/// Which server is which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    /// Where changes come from.
    pub(crate) from: Side,
    /// Where they go to.
    pub(crate) to: Side,
}

impl Sides {
    /// Differences are sought as if changes flowed from the source; after a switch they flow
    /// the other way.
    pub(crate) fn seen_from_source(self, row: RowDifference) -> RowDifference {
        if self.from == Side::Source {
            return row;
        }
        let kind = match row.kind {
            DifferenceKind::Missing => DifferenceKind::Extra,
            DifferenceKind::Extra | DifferenceKind::Duplicated => DifferenceKind::Missing,
            DifferenceKind::Different => DifferenceKind::Different,
        };
        RowDifference {
            kind,
            source: row.target,
            target: row.source,
            ..row
        }
    }

    pub(crate) fn counts_from_source(self, counts: RowCounts) -> RowCounts {
        if self.from == Side::Source {
            return counts;
        }
        RowCounts {
            missing: counts.extra + counts.duplicated,
            extra: counts.missing,
            different: counts.different,
            duplicated: 0,
        }
    }
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Found {
    /// A verdict for every table, by name.
    pub verdicts: Vec<TableVerdict>,
    /// The rows that differ, table by table; of a table with very many, the first ones.
    pub rows: Vec<RowDifference>,
}

/// Pairs of sessions that compare tables.
pub struct Comparer {
    workers: Vec<Worker>,
    sides: Sides,
    /// What the catalogs say of tables, read beforehand.
    studied: BTreeMap<TableName, Arc<Shape>>,
    /// Tables that were to be kept from being emptied, and could not be: reading them would
    /// wait for whoever has them.
    taken: Vec<(Side, TableName)>,
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
        let sides = Sides {
            from: from.0,
            to: to.0,
        };
        let mut workers = Vec::with_capacity(jobs);
        for _ in 0..jobs.max(1) {
            workers.push(Worker {
                from: Session::connect(from.1, "verify").await.on(from.0, doing)?,
                to: Session::connect(to.1, "verify").await.on(to.0, doing)?,
                sides,
                source_time: Duration::ZERO,
            });
        }
        Ok(Comparer {
            workers,
            sides,
            studied: BTreeMap::new(),
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

    /// What ends the sessions' statements from elsewhere: a server does not notice that
    /// nobody waits for a checksum any more.
    pub fn cancellers(&self) -> Vec<Canceller> {
        let sessions = self.workers.iter().flat_map(|w| [&w.from, &w.to]);
        sessions.map(Session::canceller).collect()
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
            let session = if side == worker.sides.from {
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

    /// Reads what the catalogs say of tables, so that comparing them later takes less time.
    pub async fn study(&mut self, comparisons: &[Comparison]) -> Result<(), Fault> {
        self.shapes(comparisons.to_vec()).await?;
        Ok(())
    }

    async fn shapes(&mut self, comparisons: Vec<Comparison>) -> Result<Vec<Arc<Shape>>, Fault> {
        let names: Vec<TableName> = comparisons.iter().map(|c| c.target.clone()).collect();
        let is_new = |c: &Comparison| !self.studied.contains_key(&c.target);
        let unknown: Vec<Comparison> = comparisons.into_iter().filter(is_new).collect();
        if let Some(first) = self.workers.first_mut()
            && !unknown.is_empty()
        {
            for shape in study(first, unknown).await? {
                let name = shape.comparison.target.clone();
                self.studied.insert(name, shape);
            }
        }
        let shapes = names.iter().filter_map(|name| self.studied.get(name));
        Ok(shapes.cloned().collect())
    }

    /// Compares tables in the order given; `each` hears every verdict as it comes. The
    /// sessions stay in their snapshots.
    ///
    /// # Panics
    /// When a comparing task panics, which is a fault of this crate.
    pub async fn compare(
        &mut self,
        comparisons: Vec<Comparison>,
        mut each: impl FnMut(&TableVerdict),
    ) -> Result<Found, Fault> {
        let (left_out, comparisons): (Vec<_>, Vec<_>) = comparisons
            .into_iter()
            .partition(|c| is_taken(c, self.sides.from, &self.taken));
        let shapes = self.shapes(comparisons).await?;
        let total: u64 = shapes.iter().map(|shape| shape.comparison.bytes).sum();
        let workers = self.workers.len();
        let tasks: VecDeque<Task> = shapes
            .into_iter()
            .map(|shape| Task::whole(shape, total, workers))
            .collect();
        let queue: Queue = Arc::new(Mutex::new(tasks));
        let (sender, mut receiver) = mpsc::channel(self.workers.len());
        let mut running = JoinSet::new();
        for worker in std::mem::take(&mut self.workers) {
            running.spawn(worker.work(Arc::clone(&queue), sender.clone()));
        }
        drop(sender);
        let mut gathered = Gathered::default();
        while let Some(part) = receiver.recv().await {
            if let Some(verdict) = gathered.take(part) {
                each(&verdict);
                gathered.found.verdicts.push(verdict);
            }
        }
        while let Some(ended) = running.join_next().await {
            self.workers
                .push(ended.expect("a comparison does not panic")?);
        }
        let mut found = gathered.found;
        let unread = left_out.into_iter();
        found
            .verdicts
            .extend(unread.map(|c| TableVerdict::disturbed(c.target)));
        found.verdicts.sort_by(|a, b| a.table.cmp(&b.table));
        found.rows.sort_by(|a, b| a.table.cmp(&b.table));
        Ok(found)
    }

    /// Keeps tables of both sides as the snapshots saw them: until the sessions end nobody
    /// rewrites them, so that rows lie where they were found. Gives the one that was rewritten
    /// before.
    pub async fn hold(&mut self, comparisons: &[Comparison]) -> Result<Option<TableName>, Fault> {
        let Some(Worker {
            from, to, sides, ..
        }) = self.workers.first_mut()
        else {
            return Ok(None);
        };
        let doing = "keeping a table as it was compared";
        for comparison in comparisons {
            for source in &comparison.sources {
                if hold_one(from, source).await.on(sides.from, doing)? {
                    return Ok(Some(source.clone()));
                }
            }
            if hold_one(to, &comparison.target).await.on(sides.to, doing)? {
                return Ok(Some(comparison.target.clone()));
            }
        }
        Ok(None)
    }

    /// A session on the server that changes come from, in its snapshot: what was found can be
    /// looked at where it lies.
    pub fn reader(&mut self) -> Option<&mut Session> {
        self.workers.first_mut().map(|worker| &mut worker.from)
    }

    /// Ends the sessions.
    pub async fn close(self) {
        for worker in self.workers {
            worker.from.close().await;
            worker.to.close().await;
        }
    }
}

/// Reads what both catalogs say of the tables, of some after the other.
pub(crate) async fn study(
    worker: &mut Worker,
    comparisons: Vec<Comparison>,
) -> Result<Vec<Arc<Shape>>, Fault> {
    let Worker {
        from, to, sides, ..
    } = worker;
    let (one, other) = tokio::try_join!(
        async { HashingFacts::read(from).await.on(sides.from, STUDYING) },
        async { HashingFacts::read(to).await.on(sides.to, STUDYING) },
    )?;
    let hashing = Hashing::for_both(&one, &other);
    let mut lists = Pool::default();
    let mut shapes = Vec::with_capacity(comparisons.len());
    let mut left = comparisons.into_iter();
    loop {
        let some: Vec<Comparison> = left.by_ref().take(STUDIED_AT_ONCE).collect();
        if some.is_empty() {
            return Ok(shapes);
        }
        let sources: Vec<&TableName> = some.iter().map(|c| &c.sources[0]).collect();
        let targets: Vec<&TableName> = some.iter().map(|c| &c.target).collect();
        let (one, other) = tokio::try_join!(
            async {
                TableFacts::read(from, &sources)
                    .await
                    .on(sides.from, STUDYING)
            },
            async { TableFacts::read(to, &targets).await.on(sides.to, STUDYING) },
        )?;
        let both = one.into_iter().zip(other);
        for (comparison, (source, target)) in some.into_iter().zip(both) {
            let target = target.seen_as(&comparison.names);
            let shape = Shape::new(comparison, hashing, (&source, &target), &mut lists);
            shapes.push(Arc::new(shape));
        }
    }
}

async fn hold_one(
    session: &mut Session,
    table: &TableName,
) -> Result<bool, trunkline_postgres::PgError> {
    let lock = format!("LOCK TABLE {} IN ACCESS SHARE MODE", table.quoted());
    session.batch(&lock).await?;
    was_rewritten(session, table).await
}

/// Parts as they come, until their tables are whole.
#[derive(Default)]
struct Gathered {
    unfinished: BTreeMap<TableName, Unfinished>,
    found: Found,
}

#[derive(Default)]
struct Unfinished {
    tally: Tally,
    parts: usize,
    /// How many there are, once the last one was cut.
    of: Option<usize>,
    named: usize,
}

impl Gathered {
    /// Takes a part; gives the table's verdict with the last one.
    fn take(&mut self, part: Part) -> Option<TableVerdict> {
        let table = part.shape.comparison.target.clone();
        let unfinished = self.unfinished.entry(table.clone()).or_default();
        unfinished.tally = unfinished.tally.and(&part.tally);
        unfinished.parts += 1;
        unfinished.of = unfinished.of.or(part.is_last.then_some(part.number));
        let room = NAMED_IN_A_TABLE.saturating_sub(unfinished.named);
        let before = self.found.rows.len();
        self.found.rows.extend(part.rows.into_iter().take(room));
        unfinished.named += self.found.rows.len() - before;
        if unfinished.of != Some(unfinished.parts) {
            return None;
        }
        let whole = self.unfinished.remove(&table)?;
        Some(whole.tally.verdict(table))
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

fn import(snapshot: &str) -> String {
    format!("; SET TRANSACTION SNAPSHOT {}", quote_literal(snapshot))
}
