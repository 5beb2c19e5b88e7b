//! The copy: every table read under a snapshot of its own (from a standby: under one that
//! several share), its parts loaded by whoever is
//! free, each part with its ledger row in one transaction.

mod as_stored;
mod job;
mod open;
mod part;
mod queue;
mod standby;
mod together;
mod worker;

pub(crate) use as_stored::give_storage_back;
pub(crate) use job::{CopyJob, Preparation, jobs};
pub(crate) use queue::Queue;
pub use standby::Standby;
pub(crate) use standby::StandbySnapshots;
pub(crate) use worker::{Copier, loading_session};
