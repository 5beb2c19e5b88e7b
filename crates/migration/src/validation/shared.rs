//! What the workers of validation share: the tables that are left, rows that changed, and
//! when to rest. Holds always: a table is with one worker at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::{Canceller, Conninfo};
use trunkline_verify::{PartReport, Subject};

use super::changed::{Changed, Key};
use super::ledger::Ledger;
use super::pace::Share;
use crate::limits::{CANCEL_WITHIN, CHANGES_GATHER, WHOLE_AGAIN};
use crate::way::Way;

/// What a worker does next.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Read a table, from its beginning or from where it was left.
    Table {
        subject: Subject,
        above: Option<String>,
    },
    /// Compare rows that changed.
    Rows {
        subject: Subject,
        /// The table that their changes come from.
        source: TableName,
        keys: Vec<Key>,
    },
}

/// See the module.
pub(super) struct Shared {
    pub(super) way: Way,
    /// Where rows of the side that changes come from are read: there, or on the relay.
    pub(super) read: Conninfo,
    pub(super) source: Conninfo,
    pub(super) target: Conninfo,
    pub(super) ledger: Ledger,
    pub(super) share: Share,
    /// Whether rows that change are compared again.
    pub(super) continuous: bool,
    /// Whether a table of which too much changed is read again: not before every table was
    /// read once and what came of it was taken note of.
    pub(super) reads_again: bool,
    pub(super) workers: usize,
    pub(super) changed: Arc<Changed>,
    pub(super) applied: watch::Receiver<Lsn>,
    /// The source keeps as much log as it may: nothing is read from it.
    pub(super) over_budget: Arc<AtomicBool>,
    pub(super) stop: CancellationToken,
    /// Every table was read once.
    pub(super) round_done: CancellationToken,
    /// By the name that changes come by.
    pub(super) subjects: BTreeMap<TableName, Subject>,
    pub(super) queue: Mutex<Queue>,
    pub(super) progress: Arc<Counted>,
    /// What ends the workers' statements from elsewhere.
    pub(super) running: Mutex<Vec<Canceller>>,
}

/// How far the reading is; for whoever watches the run.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(super) rows: AtomicU64,
    pub(super) tables: AtomicU64,
    pub(super) of: AtomicU64,
    pub(super) differing: AtomicU64,
}

impl Counted {
    /// Rows found different since this process began.
    pub(crate) fn differing(&self) -> u64 {
        self.differing.load(Ordering::Relaxed)
    }

    /// Rows and tables compared, and tables there are.
    pub(crate) fn read(&self) -> (u64, u64, u64) {
        (
            self.rows.load(Ordering::Relaxed),
            self.tables.load(Ordering::Relaxed),
            self.of.load(Ordering::Relaxed),
        )
    }
}

/// Tables that are left, and those that are with a worker.
pub(super) struct Queue {
    pub(super) left: VecDeque<Job>,
    pub(super) taken: Vec<Job>,
    /// When tables were last read again as a whole.
    pub(super) whole_at: Instant,
}

impl Queue {
    /// Whether a table is with a worker. Rows that changed are always with one.
    fn reads_a_table(&self) -> bool {
        let mut taken = self.taken.iter();
        taken.any(|job| matches!(job, Job::Table { .. }))
    }
}

impl Shared {
    pub(super) fn server(&self, side: Side) -> &Conninfo {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; waits until there is one.
    pub(super) async fn next(&self) -> Job {
        loop {
            if let Some(job) = self.next_now() {
                return job;
            }
            tokio::time::sleep(CHANGES_GATHER).await;
        }
    }

    fn next_now(&self) -> Option<Job> {
        let mut queue = self.queue();
        let mut job = queue.left.pop_front();
        if job.is_none() {
            if !queue.reads_a_table() {
                self.round_done.cancel();
            }
            job = self.tables_again(&mut queue);
        }
        if job.is_none() && self.continuous {
            job = self.rows_that_changed();
        }
        queue.taken.extend(job.clone());
        if let Some(Job::Table {
            subject,
            above: None,
        }) = &job
        {
            for source in subject.sources() {
                self.changed.begins_whole(source);
            }
        }
        job
    }

    fn rows_that_changed(&self) -> Option<Job> {
        let (source, keys) = self.changed.take()?;
        let subject = self.subjects.get(&source)?.clone();
        Some(Job::Rows {
            subject,
            source,
            keys,
        })
    }

    /// Tables of which more changed than could be noted.
    fn tables_again(&self, queue: &mut Queue) -> Option<Job> {
        let is_due = queue.whole_at.elapsed() >= WHOLE_AGAIN;
        if !self.continuous || !self.reads_again || !is_due || queue.reads_a_table() {
            return None;
        }
        let whole = self.changed.whole();
        queue.whole_at = Instant::now();
        // Several tables of the one side may hold the rows of one table of the other.
        let subjects = whole.iter().filter_map(|name| self.subjects.get(name));
        let subjects: BTreeMap<&TableName, &Subject> =
            subjects.map(|subject| (subject.table(), subject)).collect();
        queue
            .left
            .extend(subjects.values().map(|subject| Job::Table {
                subject: (*subject).clone(),
                above: None,
            }));
        queue.left.pop_front()
    }

    /// A job was done.
    pub(super) fn ended(&self, job: &Job) {
        let mut queue = self.queue();
        queue.taken.retain(|taken| !taken.is_same(job));
        if matches!(job, Job::Table { .. }) {
            self.progress.tables.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes back the job of a worker that lost its connections.
    pub(super) fn give_back(&self, job: Job) {
        let mut queue = self.queue();
        queue.taken.retain(|taken| !taken.is_same(&job));
        match job {
            Job::Rows { source, keys, .. } => self.changed.put_back(&source, keys),
            table @ Job::Table { .. } => queue.left.push_back(table),
        }
    }

    /// A worker's sessions, whose statements are ended when it stops. A worker connects anew
    /// now and then; what ended long ago is forgotten.
    pub(super) fn runs(&self, cancellers: [Canceller; 2]) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let surplus = (running.len() + cancellers.len()).saturating_sub(4 * self.workers);
        running.drain(..surplus);
        running.extend(cancellers);
    }

    /// A server does not notice that nobody waits for a checksum any more.
    pub(super) async fn end_statements(&self) {
        let running = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *running)
        };
        for canceller in running {
            let _unheard = tokio::time::timeout(CANCEL_WITHIN, canceller.cancel()).await;
        }
    }

    /// Rows were compared.
    pub(super) fn compared(&self, report: &PartReport) {
        self.progress.rows.fetch_add(report.rows, Ordering::Relaxed);
        let differing = report.counts.total();
        self.progress
            .differing
            .fetch_add(differing, Ordering::Relaxed);
    }

    /// Rests as long as the share asks for, of which the work itself was a part.
    pub(super) async fn rest(&self, busy: Duration) {
        let rest = self.share.rest_after(busy, self.workers);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }

    /// Waits while the source keeps more log than it should.
    pub(super) async fn wait_for_budget(&self, look: Duration) {
        while self.over_budget.load(Ordering::Relaxed) {
            tokio::time::sleep(look).await;
        }
    }
}

impl Job {
    fn is_same(&self, other: &Job) -> bool {
        match (self, other) {
            (Job::Table { subject: one, .. }, Job::Table { subject: other, .. }) => {
                one.table() == other.table()
            }
            (Job::Rows { keys: one, .. }, Job::Rows { keys: other, .. }) => one == other,
            _ => false,
        }
    }
}
