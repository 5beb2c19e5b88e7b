//! How much of its log the side that changes come from may keep for a migration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;
use crate::observer::{Notice, Observer};
use crate::plan::Budget;
use crate::way::Way;

/// Holds what is kept against the plan's budget, for whoever looks; they all have one voice.
#[derive(Clone)]
pub(crate) struct LogBudget<'a> {
    budget: Budget,
    observer: &'a dyn Observer,
    over: Arc<AtomicBool>,
    warned: Arc<AtomicBool>,
}

impl<'a> LogBudget<'a> {
    pub(super) fn new(budget: Budget, observer: &'a dyn Observer) -> Self {
        LogBudget {
            budget,
            observer,
            over: Arc::default(),
            warned: Arc::default(),
        }
    }

    /// Whether more is kept than the plan likes, as it goes on.
    pub(crate) fn over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.over)
    }

    /// Says, or refuses, that more is kept for us than the plan likes.
    pub(crate) fn keep(&self, way: Way, kept_bytes: u64) -> Result<(), Error> {
        let over = kept_bytes > self.budget.wal_kept_warn_bytes;
        self.over.store(over, Ordering::Relaxed);
        let side = way.from();
        if kept_bytes > self.budget.wal_kept_stop_bytes {
            let ends = match way {
                Way::There => "abort",
                Way::Back => "complete",
            };
            return Err(Error::Refused {
                why: format!(
                    "the {side} keeps {kept_bytes} bytes of log for the migration, above the \
                     plan's wal_kept_stop of {}",
                    self.budget.wal_kept_stop_bytes
                ),
                hint: format!(
                    "`trunkline {ends}` gives the log free; or raise the budget and run again"
                ),
            });
        }
        if over && !self.warned.swap(true, Ordering::Relaxed) {
            let warning = format!("the {side} keeps {} MB of log for us", kept_bytes >> 20);
            self.observer.notice(Notice::Warning(&warning));
        }
        Ok(())
    }
}
