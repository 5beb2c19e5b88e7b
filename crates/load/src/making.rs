//! Making the entries of a stage: in order, some in one transaction; and where there are very
//! many, those that need nothing of each other on several connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trunkline_postgres::{PgError, Remedy, remedy};

use crate::error::LoadError;
use crate::limits::{ENTRIES_AT_ONCE, MAKERS};
use crate::loader::Loader;
use crate::progress::{Count, Progress};
use crate::retrying::pauses;
use crate::structure::{Entry, Record, Runner, Stage, Stretch, Structure, key, stretches};
use crate::workers::all_ended;

/// Makes entries in order, some at a time.
pub(crate) async fn make_in_order(
    runner: &mut Runner,
    entries: &[&Entry],
    done: impl Fn(),
) -> Result<(), LoadError> {
    for some in entries.chunks(ENTRIES_AT_ONCE) {
        runner.make_together(some).await?;
        for _ in some {
            done();
        }
    }
    Ok(())
}

impl Loader {
    /// Makes the entries of a stage, each once.
    pub(crate) async fn make_stage(
        &self,
        structure: &Arc<Structure>,
        stage: Stage,
        record: &Record,
        count: fn(&Progress) -> &Count,
    ) -> Result<(), LoadError> {
        let count_done = || count(&self.progress).one_done();
        let mut wanted = structure.staged_places(stage);
        wanted.retain(|&place| {
            let made = record.holds(&key(&structure.entries[place]));
            if made {
                count_done();
            }
            !made
        });
        let mut runner = self.runner("structure").forgiving(structure.partial);
        let stretches = if self.options.jobs > 1 {
            stretches(&structure.entries, &wanted)
        } else {
            vec![Stretch::InOrder(wanted)]
        };
        for stretch in stretches {
            let in_order = match stretch {
                Stretch::InOrder(places) => places,
                Stretch::Apart(strands) => self.make_apart(structure, strands, count).await?,
            };
            let entries = in_order.iter().map(|&place| &structure.entries[place]);
            make_in_order(&mut runner, &entries.collect::<Vec<_>>(), count_done).await?;
        }
        Ok(())
    }

    /// Makes strands on as many connections as copy, within bounds. What could not be made
    /// comes back, in `pg_dump`'s order, to be made alone: it may need what no strand tells, or
    /// have waited for the locks of another.
    async fn make_apart(
        &self,
        structure: &Arc<Structure>,
        strands: Vec<Vec<usize>>,
        count: fn(&Progress) -> &Count,
    ) -> Result<Vec<usize>, LoadError> {
        let connections = self.options.jobs.min(MAKERS).min(strands.len());
        // One that fails stops the others, and each is waited for: none may commit later.
        let cancel = self.cancel.child_token();
        let maker = Arc::new(Maker {
            structure: Arc::clone(structure),
            strands: Mutex::new(strands.into()),
            progress: Arc::clone(&self.progress),
            count,
            cancel: cancel.clone(),
        });
        let mut running = JoinSet::new();
        for _ in 0..connections {
            let (maker, runner) = (
                Arc::clone(&maker),
                self.stoppable_runner("structure", &cancel),
            );
            running.spawn(async move { maker.work(runner).await });
        }
        let mut left = all_ended(running, &cancel).await?.concat();
        // None of them could connect any more: whoever goes on says why.
        left.extend(maker.strands().drain(..).flatten());
        left.sort_unstable();
        if !left.is_empty() {
            tracing::warn!(
                entries = left.len(),
                "left over, to be made one after the other"
            );
        }
        Ok(left)
    }
}

/// What makes strands.
struct Maker {
    structure: Arc<Structure>,
    strands: Mutex<VecDeque<Vec<usize>>>,
    progress: Arc<Progress>,
    count: fn(&Progress) -> &Count,
    cancel: CancellationToken,
}

impl Maker {
    /// Makes strands until there are none; gives what the server refused.
    async fn work(&self, mut runner: Runner) -> Result<Vec<usize>, LoadError> {
        let mut refused = Vec::new();
        let mut tries = pauses();
        loop {
            let Some(strand) = self.strands().pop_front() else {
                return Ok(refused);
            };
            let (made, ended) = self.make(&mut runner, &strand).await?;
            if self.cancel.is_cancelled() {
                return Err(LoadError::Cancelled);
            }
            let rest = &strand[made..];
            match ended {
                Ok(()) => tries = pauses(),
                // No fault of the strand's. If this group was committed after all, its records
                // are in the way of the next try, and it is looked at by itself.
                Err(cause) if remedy(&cause) == Remedy::Reconnect => {
                    tracing::debug!(%cause, "trying again");
                    self.strands().push_front(rest.to_vec());
                    let Some(pause) = tries.next() else {
                        return Ok(refused);
                    };
                    runner.wait(pause).await?;
                }
                Err(cause) => {
                    tracing::debug!(%cause, entries = rest.len(), "set aside");
                    refused.extend(rest);
                }
            }
        }
    }

    /// Gives how many of a strand's entries were made, and what the server said at last.
    async fn make(
        &self,
        runner: &mut Runner,
        strand: &[usize],
    ) -> Result<(usize, Result<(), PgError>), LoadError> {
        let mut made = 0;
        for group in strand.chunks(ENTRIES_AT_ONCE) {
            let entries = group.iter().map(|&place| &self.structure.entries[place]);
            if let Err(cause) = runner.try_together(entries).await? {
                return Ok((made, Err(cause)));
            }
            made += group.len();
            for _ in group {
                (self.count)(&self.progress).one_done();
            }
        }
        Ok((made, Ok(())))
    }

    fn strands(&self) -> MutexGuard<'_, VecDeque<Vec<usize>>> {
        self.strands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
