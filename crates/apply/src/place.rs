//! Where the writer is: here, or passed along a queue of tasks, each with a batch. Holds always:
//! a batch is written only once the one before it is on the target, and not at all if that
//! failed.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::batch::Pending;
use crate::error::ApplyError;
use crate::fold::fold;
use crate::limits::{Bounds, QUEUED_BATCHES};
use crate::options::Durability;
use crate::plan::plan;
use crate::progress::Position;
use crate::stats::ApplyStats;
use crate::writer::{Work, Writer};

/// A batch for the writer.
pub(crate) struct Job {
    pub(crate) pending: Pending,
    pub(crate) bounds: Bounds,
    /// With what it is committed; without it, it is a part of a source transaction.
    pub(crate) commit: Option<(Position, Durability)>,
    /// What was counted while it was gathered; then also what was written.
    pub(crate) stats: ApplyStats,
}

/// The writer, or the tasks that it goes through.
pub(crate) struct Place {
    baton: Baton,
    /// The oldest first.
    queue: VecDeque<Away>,
}

/// Who has the writer.
enum Baton {
    Here(Box<Writer>),
    /// The last task of the queue, which passes it on when its batch is written.
    Passed(oneshot::Receiver<Box<Writer>>),
    /// It went down with a task.
    Gone,
}

struct Away {
    task: JoinHandle<Written>,
    to: Option<Position>,
}

/// A batch that was written; or why not, with the writer if the task had it.
type Written = Result<Job, (Option<Box<Writer>>, ApplyError)>;

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
            baton: Baton::Here(Box::new(writer)),
            queue: VecDeque::new(),
        }
    }

    /// The writer. It is here once [`Place::come_back`] has nothing more to give, unless a task
    /// was taken down with it.
    pub(crate) fn here(&mut self) -> Result<&mut Writer, ApplyError> {
        match &mut self.baton {
            Baton::Here(writer) => Ok(writer),
            Baton::Passed(_) | Baton::Gone => Err(ApplyError::Spent),
        }
    }

    /// The writer for good.
    pub(crate) fn leave(self) -> Option<Writer> {
        match self.baton {
            Baton::Here(writer) => Some(*writer),
            Baton::Passed(_) | Baton::Gone => None,
        }
    }

    pub(crate) fn is_away(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether as many batches are on their way as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= QUEUED_BATCHES
    }

    /// Whether nothing is being written, as far as can be seen without waiting.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.iter().all(|away| away.task.is_finished())
    }

    /// Where the target will be once the batches on their way are committed.
    pub(crate) fn goes_to(&self) -> Option<Position> {
        self.queue.iter().rev().find_map(|away| away.to)
    }

    /// Lets a batch be prepared, and written once the writer is free.
    pub(crate) fn begin(&mut self, job: Job) {
        let (pass_on, passed) = oneshot::channel();
        let baton = std::mem::replace(&mut self.baton, Baton::Passed(passed));
        let to = job.commit.map(|(position, _)| position);
        let task = tokio::spawn(write(job, baton, pass_on));
        self.queue.push_back(Away { task, to });
    }

    /// Waits for the oldest batch on its way: what was done, with its memory; `None` when there
    /// is none, and the writer is here. Cancel-safe: a batch that was written is given until
    /// somebody has it.
    pub(crate) async fn come_back(&mut self) -> Result<Option<Job>, ApplyError> {
        let Some(away) = self.queue.front_mut() else {
            self.take_back();
            return self.here().map(|_| None);
        };
        let written = (&mut away.task).await;
        self.queue.pop_front();
        match written {
            Ok(Ok(job)) => Ok(Some(job)),
            Ok(Err((writer, error))) => {
                // Those behind it in the queue wait in vain, and write nothing.
                if let Some(writer) = writer {
                    self.baton = Baton::Here(writer);
                }
                Err(error)
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(ApplyError::Spent),
            },
        }
    }

    /// With nothing on its way, the writer waits to be taken.
    fn take_back(&mut self) {
        if let Baton::Passed(passed) = &mut self.baton {
            self.baton = passed.try_recv().map_or(Baton::Gone, Baton::Here);
        }
    }
}

/// Prepares a batch while the one before it is written, waits for the writer, and passes it on.
async fn write(mut job: Job, baton: Baton, pass_on: oneshot::Sender<Box<Writer>>) -> Written {
    let written = {
        let entries = &job.pending.entries;
        let folded = fold(entries);
        let planned = folded.as_ref().map(|stages| plan(stages, &job.bounds));
        let mut writer = match baton {
            Baton::Here(writer) => writer,
            Baton::Passed(passed) => passed.await.map_err(|_| (None, ApplyError::Spent))?,
            Baton::Gone => return Err((None, ApplyError::Spent)),
        };
        let work = Work {
            entries,
            planned: planned.ok(),
        };
        let done = match job.commit {
            Some((to, durability)) => writer.commit(work, to, durability).await,
            None => writer.write_part(work).await,
        };
        match done {
            Ok(written) => {
                // Whoever wanted it may be gone: then it ends here.
                let _nobody = pass_on.send(writer);
                written
            }
            Err(error) => return Err((Some(writer), error)),
        }
    };
    for entry in &job.pending.entries {
        entry.count_in(&mut job.stats);
    }
    job.stats.add(&written);
    job.pending = job.pending.emptied();
    Ok(job)
}
