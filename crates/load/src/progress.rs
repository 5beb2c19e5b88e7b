//! How far the copy is: counters that workers raise and reports read, without either
//! waiting for the other.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use trunkline_changes::TableName;

/// Where one table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// Not begun.
    Waiting,
    /// Its rows are on their way.
    Copying,
    /// Its rows are in; its indexes are not all built.
    Building,
    /// Done.
    Done,
}

/// One table's counters.
#[derive(Debug)]
pub struct TableProgress {
    /// The source's table.
    pub name: TableName,
    /// Heap and TOAST on the source; what is copied may be fewer or more bytes.
    pub expected_bytes: u64,
    /// Rows as the source estimates them.
    pub expected_rows: u64,
    rows: AtomicU64,
    bytes: AtomicU64,
    state: AtomicU8,
}

impl TableProgress {
    pub(crate) fn new(name: TableName, expected_bytes: u64, expected_rows: u64) -> Self {
        TableProgress {
            name,
            expected_bytes,
            expected_rows,
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            state: AtomicU8::new(0),
        }
    }

    /// Rows copied so far, those of parts under way included.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes copied so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Where the table stands.
    pub fn state(&self) -> TableState {
        match self.state.load(Ordering::Relaxed) {
            0 => TableState::Waiting,
            1 => TableState::Copying,
            2 => TableState::Building,
            _ => TableState::Done,
        }
    }

    pub(crate) fn set_state(&self, state: TableState) {
        let number = match state {
            TableState::Waiting => 0,
            TableState::Copying => 1,
            TableState::Building => 2,
            TableState::Done => 3,
        };
        self.state.store(number, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back what a part that failed had counted.
    pub(crate) fn take_back(&self, rows: u64, bytes: u64) {
        self.rows.fetch_sub(rows, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn start_again(&self) {
        self.rows.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.set_state(TableState::Waiting);
    }
}

/// A count of things done out of a total.
#[derive(Debug, Default)]
pub struct Count {
    done: AtomicU64,
    total: AtomicU64,
}

impl Count {
    /// How many are done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(crate) fn expect(&self, total: usize) {
        self.total.store(total as u64, Ordering::Relaxed);
    }

    pub(crate) fn one_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn start(&self, total: usize) {
        self.done.store(0, Ordering::Relaxed);
        self.expect(total);
    }
}

/// The progress of a copy. Shared: make it once, hand it to the loader, read it from
/// anywhere.
#[derive(Debug, Default)]
pub struct Progress {
    tables: Mutex<Vec<Arc<TableProgress>>>,
    /// Objects made before the rows.
    pub pre_data: Count,
    /// Tables copied.
    pub copied: Count,
    /// Indexes and constraints built with their tables.
    pub indexes: Count,
    /// Foreign keys validated.
    pub foreign_keys: Count,
    /// Everything made at the end.
    pub post_data: Count,
    /// Large objects copied.
    pub large_objects: Count,
    /// Tables whose statistics were gathered.
    pub analyzed: Count,
}

/// Sums over all tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows copied.
    pub rows: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// Bytes of the source's tables.
    pub expected_bytes: u64,
    /// Bytes of the source's tables whose rows are in, and of those under way as far as
    /// they are: what a bar shows against `expected_bytes`.
    pub settled_bytes: u64,
}

impl Progress {
    /// Nothing done yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Every table's counters, the largest first; empty until the copy has begun.
    pub fn tables(&self) -> Vec<Arc<TableProgress>> {
        self.tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The first tables whose rows are on their way, so many at most.
    pub fn copying(&self, most: usize) -> Vec<Arc<TableProgress>> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let copying = tables.iter().filter(|t| t.state() == TableState::Copying);
        copying.take(most).cloned().collect()
    }

    /// Sums over all tables.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for table in self
            .tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let (rows, bytes) = (table.rows(), table.bytes());
            totals.rows += rows;
            totals.bytes += bytes;
            totals.expected_bytes += table.expected_bytes;
            totals.settled_bytes += match table.state() {
                TableState::Waiting => 0,
                TableState::Copying => bytes.min(table.expected_bytes),
                TableState::Building | TableState::Done => table.expected_bytes,
            };
        }
        totals
    }

    pub(crate) fn begin(&self, tables: Vec<Arc<TableProgress>>) {
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = tables;
    }
}
