//! What waits to be written: the changes of one or more source transactions, routed to
//! their target tables and in the source's order.

use std::collections::HashSet;
use std::sync::Arc;

use trunkline_changes::{OldRow, Row, Transaction};

use crate::conflict::Operation;
use crate::limits::Bounds;
use crate::route::Route;
use crate::stats::ApplyStats;
use crate::truncate::Truncate;

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowChange {
    Insert(Row),
    Update { old: Option<OldRow>, new: Row },
    Delete(OldRow),
}

impl RowChange {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            RowChange::Insert(_) => Operation::Insert,
            RowChange::Update { .. } => Operation::Update,
            RowChange::Delete(_) => Operation::Delete,
        }
    }

    /// The row that the key is read from: the old one where it was sent.
    pub(crate) fn key_row(&self) -> &Row {
        match self {
            RowChange::Insert(new) | RowChange::Update { old: None, new } => new,
            RowChange::Update { old: Some(old), .. } | RowChange::Delete(old) => old.row(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            RowChange::Insert(new) => new.value_bytes(),
            RowChange::Update { old, new } => {
                new.value_bytes() + old.as_ref().map_or(0, |old| old.row().value_bytes())
            }
            RowChange::Delete(old) => old.row().value_bytes(),
        }
    }
}

/// What one entry does.
#[derive(Debug)]
pub(crate) enum Action {
    Row {
        route: Arc<Route>,
        change: RowChange,
    },
    Truncate(Truncate),
}

/// One change and the transaction that made it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) transaction: Transaction,
    pub(crate) action: Action,
}

impl Entry {
    pub(crate) fn bytes(&self) -> usize {
        match &self.action {
            Action::Row { change, .. } => change.bytes() + size_of::<Entry>(),
            Action::Truncate(_) => size_of::<Entry>(),
        }
    }

    pub(crate) fn count_in(&self, stats: &mut ApplyStats) {
        match &self.action {
            Action::Row { change, .. } => match change.operation() {
                Operation::Insert => stats.inserted += 1,
                Operation::Update => stats.updated += 1,
                Operation::Delete | Operation::Truncate => stats.deleted += 1,
            },
            Action::Truncate(truncate) => stats.truncated += truncate.tables.len() as u64,
        }
    }
}

/// Entries with their size.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: usize,
    /// The target's tables that they change, by OID.
    tables: HashSet<u32>,
}

impl Pending {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        match &entry.action {
            Action::Row { route, .. } => {
                self.tables.insert(route.target.oid);
            }
            Action::Truncate(truncate) => {
                let truncated = truncate.tables.iter();
                self.tables.extend(truncated.map(|table| table.target.oid));
            }
        }
        self.entries.push(entry);
    }

    /// Takes over the other's entries; it is empty then, and keeps its memory.
    pub(crate) fn append(&mut self, other: &mut Pending) {
        self.bytes += std::mem::take(&mut other.bytes);
        self.tables.extend(other.tables.drain());
        self.entries.append(&mut other.entries);
    }

    /// Nothing, in the memory that it had: for the next batch.
    pub(crate) fn emptied(mut self) -> Self {
        self.entries.clear();
        self.tables.clear();
        self.bytes = 0;
        self
    }

    /// How many tables this and the other change, at the most.
    pub(crate) fn tables_with(&self, other: &Pending) -> usize {
        self.tables.len() + other.tables.len()
    }

    pub(crate) fn exceeds(&self, bounds: &Bounds) -> bool {
        self.entries.len() >= bounds.batch_rows || self.bytes >= bounds.batch_bytes
    }
}
