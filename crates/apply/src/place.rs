//! Where the writer is: here, or away in a task of its own with a batch.

use tokio::task::JoinHandle;

use crate::batch::Pending;
use crate::error::ApplyError;
use crate::limits::Bounds;
use crate::options::Durability;
use crate::progress::Position;
use crate::stats::ApplyStats;
use crate::writer::Writer;

/// A batch for the writer.
pub(crate) struct Job {
    pub(crate) pending: Pending,
    pub(crate) bounds: Bounds,
    /// With what it is committed; without it, it is a part of a source transaction.
    pub(crate) commit: Option<(Position, Durability)>,
    /// What was counted while it was gathered; then also what was written.
    pub(crate) stats: ApplyStats,
}

/// The writer, or the task that it is in.
pub(crate) struct Place {
    writer: Option<Box<Writer>>,
    away: Option<Away>,
}

struct Away {
    task: JoinHandle<(Box<Writer>, Result<Job, ApplyError>)>,
    to: Option<Position>,
}

impl Drop for Away {
    fn drop(&mut self) {
        // The connection goes with it; what the server still does holds the lock on the
        // progress row, which whoever comes next waits for.
        self.task.abort();
    }
}

impl Place {
    pub(crate) fn of(writer: Writer) -> Self {
        Place {
            writer: Some(Box::new(writer)),
            away: None,
        }
    }

    /// The writer. It is here once [`Place::come_back`] has returned, unless its task was
    /// taken down with the runtime.
    pub(crate) fn here(&mut self) -> Result<&mut Writer, ApplyError> {
        self.writer.as_deref_mut().ok_or(ApplyError::Spent)
    }

    /// The writer for good.
    pub(crate) fn leave(mut self) -> Option<Writer> {
        self.writer.take().map(|writer| *writer)
    }

    pub(crate) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Where the target will be once the batch that is being written is committed.
    pub(crate) fn goes_to(&self) -> Option<Position> {
        self.away.as_ref().and_then(|away| away.to)
    }

    /// Lets the writer begin a batch; it must be here.
    pub(crate) fn begin(&mut self, job: Job) -> Result<(), ApplyError> {
        let mut writer = self.writer.take().ok_or(ApplyError::Spent)?;
        let to = job.commit.map(|(position, _)| position);
        let task = tokio::spawn(async move {
            let done = write(&mut writer, job).await;
            (writer, done)
        });
        self.away = Some(Away { task, to });
        Ok(())
    }

    /// Waits for the batch that is being written: what was done, with its memory.
    pub(crate) async fn come_back(&mut self) -> Result<Option<Job>, ApplyError> {
        let Some(mut away) = self.away.take() else {
            // A call that was dropped half-way took its batch with it.
            return self.here().map(|_| None);
        };
        match (&mut away.task).await {
            Ok((writer, done)) => {
                self.writer = Some(writer);
                done.map(Some)
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(ApplyError::Spent),
            },
        }
    }
}

async fn write(writer: &mut Writer, mut job: Job) -> Result<Job, ApplyError> {
    let entries = &job.pending.entries;
    let written = match job.commit {
        Some((to, durability)) => writer.commit(entries, to, durability, &job.bounds).await?,
        None => writer.write_part(entries, &job.bounds).await?,
    };
    for entry in entries {
        entry.count_in(&mut job.stats);
    }
    job.stats.add(&written);
    job.pending = job.pending.emptied();
    Ok(job)
}
