//! The workers of the copy. Each owns one connection to either side; together they share
//! the queue. What may pass is tried again while other tables go on; what may not stops
//! them all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trunkline_changes::Side;
use trunkline_postgres::{Conninfo, OnSide, Session};

use super::job::CopyJob;
use super::queue::{Ended, Next, Queue, Table, Unit};
use super::standby::StandbySnapshots;
use crate::build::Board;
use crate::chunks::{Cut, Part};
use crate::error::LoadError;
use crate::ledger;
use crate::progress::{Progress, TableState};
use crate::retrying::pauses;
use crate::workers::all_ended;

/// What the parts of an open table share.
pub(crate) struct Shared {
    pub(crate) cut: Cut,
    /// For parts by pages: the snapshot, and the session that holds it.
    pub(crate) snapshot: Option<SharedSnapshot>,
}

/// A snapshot that several sessions read under.
pub(crate) struct SharedSnapshot {
    /// What `SET TRANSACTION SNAPSHOT` takes.
    pub(crate) id: String,
    /// What the snapshot saw.
    pub(crate) view: String,
    /// The transaction that keeps it.
    pub(crate) leader: tokio::sync::Mutex<Session>,
}

/// How long the keeper of a snapshot may take to show that it lives.
const LEADER_ANSWERS_WITHIN: Duration = Duration::from_secs(10);

impl SharedSnapshot {
    pub(crate) async fn is_lost(&self) -> bool {
        let mut leader = self.leader.lock().await;
        let answer =
            tokio::time::timeout(LEADER_ANSWERS_WITHIN, leader.query("SELECT 1", &[])).await;
        !matches!(answer, Ok(Ok(_)))
    }
}

/// The copy of all tables.
pub(crate) struct Copier {
    pub(crate) source: Conninfo,
    pub(crate) target: Conninfo,
    pub(crate) jobs: Vec<CopyJob>,
    /// The target's tables are ours, made a moment ago: rows may be written frozen.
    pub(crate) ours: bool,
    pub(crate) board: Arc<Board>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) cancel: CancellationToken,
    pub(crate) queue: Mutex<Queue<Shared>>,
    pub(crate) changed: Notify,
    /// Where snapshots come from when the source that is read is a standby.
    pub(crate) standby: Option<StandbySnapshots>,
}

/// A worker's connections, made when they are needed.
#[derive(Default)]
pub(crate) struct Pair {
    source: Option<Session>,
    target: Option<Session>,
}

impl Pair {
    /// Both sessions, connected.
    pub(crate) async fn both(
        &mut self,
        copier: &Copier,
    ) -> Result<(&mut Session, &mut Session), LoadError> {
        if self.source.as_ref().is_none_or(Session::is_broken) {
            let session = Session::connect(&copier.source, "copy").await;
            self.source = Some(session.on(Side::Source, "connecting to copy")?);
        }
        self.target(copier).await?;
        let source = self.source.as_mut().expect("it was just made");
        let target = self.target.as_mut().expect("it was just made");
        Ok((source, target))
    }

    /// The target's, connected.
    pub(crate) async fn target(&mut self, copier: &Copier) -> Result<&mut Session, LoadError> {
        if self.target.as_ref().is_none_or(Session::is_broken) {
            let session = loading_session(&copier.target).await;
            self.target = Some(session.on(Side::Target, "connecting to copy")?.0);
        }
        Ok(self.target.as_mut().expect("it was just made"))
    }

    /// Forgets both: a transaction was left half-way, and closing ends it.
    pub(crate) fn forget(&mut self) {
        *self = Pair::default();
    }
}

/// A session to the target that loads rows, and whether it may keep triggers from firing.
/// Its commits need not wait for the disk: a ledger row is lost with its rows or not at
/// all, and whatever commits later with waiting makes them durable too.
pub(crate) async fn loading_session(
    target: &Conninfo,
) -> Result<(Session, bool), trunkline_postgres::PgError> {
    let mut session = Session::connect(target, "load").await?;
    session.batch("SET synchronous_commit = off").await?;
    let replica = session
        .batch("SET session_replication_role = replica")
        .await;
    let replica = match replica {
        Ok(_) => true,
        Err(error) if error.sqlstate().is_some() => false,
        Err(error) => return Err(error),
    };
    Ok((session, replica))
}

impl Copier {
    /// Copies everything with so many workers.
    pub(crate) async fn run(self: Arc<Self>, workers: usize) -> Result<(), LoadError> {
        let mut tasks = JoinSet::new();
        for _ in 0..workers.max(1) {
            let copier = Arc::clone(&self);
            tasks.spawn(async move { copier.work().await });
        }
        all_ended(tasks, &self.cancel).await.map(drop)
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue<Shared>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self) -> Result<(), LoadError> {
        let mut pair = Pair::default();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let next = self.queue().next();
            match next {
                Next::Done => return Ok(()),
                Next::Wait => tokio::select! {
                    () = changed => {}
                    () = self.cancel.cancelled() => return Err(LoadError::Cancelled),
                },
                Next::Open(job) => {
                    let units = self.open_with_retries(&mut pair, job).await?;
                    if units.is_empty() {
                        self.parts_are_in(&mut pair, job).await?;
                    }
                    self.queue().opened(job, units);
                    self.changed.notify_waiters();
                }
                Next::Together(jobs) => {
                    let left = self.together(&mut pair, jobs).await?;
                    self.queue().went_together(left);
                    self.changed.notify_waiters();
                }
                Next::Part(unit) => {
                    let how = self.part_with_retries(&mut pair, &unit).await?;
                    let table = self.queue().ended(unit.job, how);
                    match table {
                        Table::GoesOn => {}
                        Table::IsCopied => self.parts_are_in(&mut pair, unit.job).await?,
                        Table::BeginsAgain => self.jobs[unit.job].progress.start_again(),
                    }
                    self.changed.notify_waiters();
                }
            }
        }
    }

    /// Before anything is built on a table, its columns are as they are to be.
    async fn parts_are_in(&self, pair: &mut Pair, number: usize) -> Result<(), LoadError> {
        let job = &self.jobs[number];
        let mut pauses = pauses();
        while !job.wide().is_empty() {
            let given_back = tokio::select! {
                given_back = self.give_storage_back(pair, job) => given_back,
                () = self.cancel.cancelled() => Err(LoadError::Cancelled),
            };
            let Err(error) = given_back else {
                break;
            };
            pair.forget();
            self.pause_after(error, &mut pauses, number).await?;
        }
        self.table_is_copied(number);
        Ok(())
    }

    pub(crate) fn table_is_copied(&self, number: usize) {
        let job = &self.jobs[number];
        job.progress.set_state(TableState::Building);
        self.progress.copied.one_done();
        self.board.rows_are_in(number);
        tracing::info!(table = %job.name(), rows = job.progress.rows(), "rows copied");
    }

    async fn open_with_retries(
        &self,
        pair: &mut Pair,
        job: usize,
    ) -> Result<Vec<Unit<Shared>>, LoadError> {
        let mut pauses = pauses();
        loop {
            let opened = tokio::select! {
                opened = self.open(pair, job) => opened,
                () = self.cancel.cancelled() => Err(LoadError::Cancelled),
            };
            let error = match opened {
                Ok(units) => return Ok(units),
                Err(error) => error,
            };
            pair.forget();
            self.jobs[job].progress.start_again();
            self.pause_after(error, &mut pauses, job).await?;
        }
    }

    async fn part_with_retries(
        &self,
        pair: &mut Pair,
        unit: &Unit<Shared>,
    ) -> Result<Ended, LoadError> {
        let mut pauses = pauses();
        let job = &self.jobs[unit.job];
        let mut tried = false;
        loop {
            let loaded = tokio::select! {
                loaded = self.load(pair, unit, tried) => loaded,
                () = self.cancel.cancelled() => Err(LoadError::Cancelled),
            };
            let error = match loaded {
                Ok(()) => return Ok(Ended::Loaded),
                Err(error) => error,
            };
            pair.forget();
            tried = true;
            if let Some(snapshot) = &unit.shared.snapshot {
                let stopping = self.cancel.is_cancelled();
                if !stopping && snapshot.is_lost().await {
                    tracing::warn!(table = %job.name(), %error, "its snapshot was lost: the table begins again");
                    return Ok(Ended::SnapshotLost);
                }
            }
            self.pause_after(error, &mut pauses, unit.job).await?;
        }
    }

    /// Loads a part, unless an earlier try whose end was not seen had loaded it.
    async fn load(
        &self,
        pair: &mut Pair,
        unit: &Unit<Shared>,
        tried: bool,
    ) -> Result<(), LoadError> {
        let job = &self.jobs[unit.job];
        if tried {
            let (_, target) = pair.both(self).await?;
            if let Some(recorded) = ledger::read_part(target, job.name(), &unit.part).await? {
                job.progress.add(recorded.rows, recorded.bytes);
                return Ok(());
            }
        }
        let shared = unit.shared.snapshot.as_ref();
        self.load_part(pair, job, &unit.shared.cut, &unit.part, shared)
            .await
    }

    /// Waits before the next try, or gives the error back when there is none.
    async fn pause_after(
        &self,
        error: LoadError,
        pauses: &mut trunkline_postgres::Backoff,
        job: usize,
    ) -> Result<(), LoadError> {
        if self.cancel.is_cancelled() {
            return Err(LoadError::Cancelled);
        }
        let Some(pause) = pauses.next().filter(|_| error.may_retry()) else {
            return Err(error);
        };
        tracing::warn!(table = %self.jobs[job].name(), %error, "trying again");
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.cancel.cancelled() => Err(LoadError::Cancelled),
        }
    }

    /// A part without companions.
    pub(crate) fn unit(job: usize, part: Part, shared: &Arc<Shared>) -> Unit<Shared> {
        Unit {
            job,
            part,
            shared: Arc::clone(shared),
        }
    }
}
