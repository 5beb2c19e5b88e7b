//! What is told of what was applied and what changes: counts, and validation beside the
//! follower.

use std::sync::Arc;

use tokio::sync::watch;
use trunkline_changes::Lsn;

use super::{Goal, Stream};
use crate::observer::Notice;
use crate::run::Run;
use crate::validation::{Changed, Counted};

impl Stream {
    /// Every change of the stream that this process has met, whatever became of it.
    pub(crate) fn changes_seen(&self) -> u64 {
        let stats = self.applier.stats();
        self.rows_applied() + stats.truncated + stats.parked + stats.mended + stats.skipped
    }

    /// Rows that this process applied.
    pub(crate) fn rows_applied(&self) -> u64 {
        let stats = self.applier.stats();
        stats.inserted + stats.updated + stats.deleted
    }

    /// The last position committed, for those who wait for one.
    pub(crate) fn applied_feed(&self) -> watch::Receiver<Lsn> {
        self.applied_feed.subscribe()
    }

    /// From now on validation hears of every change.
    pub(crate) fn note_changes(&mut self, changed: Arc<Changed>, progress: Arc<Counted>) {
        self.validation = Some((changed, progress));
    }

    pub(super) fn tell_applied(&self) {
        let applied = self.applier.applied();
        self.applied_feed.send_if_modified(|told| {
            let is_new = *told < applied;
            *told = applied.max(*told);
            is_new
        });
    }

    /// Tells whoever watches how far validation is, and what it found.
    pub(super) fn tell_validation(&mut self, run: &Run<'_>, goal: Goal) {
        let Some((_, counted)) = &self.validation else {
            return;
        };
        if goal == Goal::Validated {
            let (rows, tables, of) = counted.read();
            run.observer.notice(Notice::Validated { rows, tables, of });
        }
        let differing = counted.differing();
        if differing > self.differing_told {
            self.differing_told = differing;
            let warning = format!(
                "{differing} rows differ: `trunkline status` counts them, \
                 trunkline.validation_failures on the target names them"
            );
            run.observer.notice(Notice::Warning(&warning));
        }
    }
}
