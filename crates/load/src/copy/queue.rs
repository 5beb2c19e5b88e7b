//! Who does what next: pure. Parts of tables that are open go before tables that are not,
//! so that a shared snapshot ends soon; tables go by size, small ones at the end and some at
//! a time. A table whose shared snapshot was lost is begun again once none of its parts is
//! under way.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::chunks::Part;
use crate::limits::{ENTRIES_AT_ONCE, SHARES};

/// What a worker does next.
#[derive(Clone, Debug)]
pub(crate) enum Next<S> {
    /// Open this table.
    Open(usize),
    /// Copy these small tables together.
    Together(Vec<usize>),
    /// Load a part of a table.
    Part(Unit<S>),
    /// Nothing now, but others may bring work.
    Wait,
    /// Nothing any more.
    Done,
}

/// A part of a table, with what all its parts share.
#[derive(Clone, Debug)]
pub(crate) struct Unit<S> {
    pub(crate) job: usize,
    pub(crate) part: Part,
    pub(crate) shared: Arc<S>,
}

/// How a unit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its rows are in.
    Loaded,
    /// The snapshot that it shared is gone.
    SnapshotLost,
}

/// What follows for its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Parts are still to come.
    GoesOn,
    /// All its parts are in.
    IsCopied,
    /// It has been put back and begins again.
    BeginsAgain,
}

#[derive(Clone, Copy, Debug, Default)]
struct Run {
    waiting: usize,
    active: usize,
    lost: bool,
}

/// The work that is left.
#[derive(Debug)]
pub(crate) struct Queue<S> {
    tables: VecDeque<usize>,
    /// Tables that go together.
    small: VecDeque<usize>,
    parts: VecDeque<Unit<S>>,
    runs: Vec<Run>,
    /// What workers are opening: tables, and some that go together.
    opening: usize,
    /// Parts that workers are at.
    active: usize,
}

impl<S> Queue<S> {
    /// Jobs by number, in the order in which they are to be opened; the small ones after the
    /// others.
    pub(crate) fn new(jobs: usize, is_small: impl Fn(usize) -> bool) -> Self {
        let (small, tables) = (0..jobs).partition(|&job| is_small(job));
        Queue {
            tables,
            small,
            parts: VecDeque::new(),
            runs: vec![Run::default(); jobs],
            opening: 0,
            active: 0,
        }
    }

    pub(crate) fn next(&mut self) -> Next<S> {
        if let Some(unit) = self.parts.pop_front() {
            let run = &mut self.runs[unit.job];
            run.waiting -= 1;
            run.active += 1;
            self.active += 1;
            return Next::Part(unit);
        }
        if let Some(job) = self.tables.pop_front() {
            self.opening += 1;
            return Next::Open(job);
        }
        // The fewer are left the fewer go together, so that workers finish together.
        let some = self.small.len().div_ceil(SHARES).min(ENTRIES_AT_ONCE);
        if some > 0 {
            self.opening += 1;
            return Next::Together(self.small.drain(..some).collect());
        }
        if self.opening > 0 || self.active > 0 {
            Next::Wait
        } else {
            Next::Done
        }
    }

    /// A table was opened; these are its parts. None at all: it was done in one go.
    pub(crate) fn opened(&mut self, job: usize, parts: Vec<Unit<S>>) {
        self.opening -= 1;
        self.runs[job] = Run {
            waiting: parts.len(),
            active: 0,
            lost: false,
        };
        self.parts.extend(parts);
    }

    /// Small tables were tried together; these are to be opened one by one.
    pub(crate) fn went_together(&mut self, left: Vec<usize>) {
        self.opening -= 1;
        self.tables.extend(left);
    }

    /// A unit ended.
    pub(crate) fn ended(&mut self, job: usize, how: Ended) -> Table {
        self.active -= 1;
        let run = &mut self.runs[job];
        run.active -= 1;
        if how == Ended::SnapshotLost && !run.lost {
            run.lost = true;
            run.waiting = 0;
            self.parts.retain(|unit| unit.job != job);
        }
        let run = &mut self.runs[job];
        if run.active > 0 || run.waiting > 0 {
            return Table::GoesOn;
        }
        if !run.lost {
            return Table::IsCopied;
        }
        *run = Run::default();
        self.tables.push_front(job);
        Table::BeginsAgain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(job: usize, count: i32) -> Vec<Unit<()>> {
        (0..count)
            .map(|number| Unit {
                job,
                part: Part {
                    number,
                    ..Part::WHOLE
                },
                shared: Arc::new(()),
            })
            .collect()
    }

    #[test]
    fn open_parts_go_before_unopened_tables() {
        let mut queue = Queue::<()>::new(2, |_| false);
        assert!(matches!(queue.next(), Next::Open(0)));
        queue.opened(0, units(0, 2));
        assert!(matches!(queue.next(), Next::Part(Unit { job: 0, .. })));
        assert!(matches!(queue.next(), Next::Part(Unit { job: 0, .. })));
        assert!(matches!(queue.next(), Next::Open(1)));
        assert!(matches!(queue.next(), Next::Wait));
        queue.opened(1, Vec::new());
        assert_eq!(queue.ended(0, Ended::Loaded), Table::GoesOn);
        assert_eq!(queue.ended(0, Ended::Loaded), Table::IsCopied);
        assert!(matches!(queue.next(), Next::Done));
    }

    #[test]
    fn a_lost_snapshot_begins_the_table_again_when_nobody_is_at_it() {
        let mut queue = Queue::<()>::new(1, |_| false);
        assert!(matches!(queue.next(), Next::Open(0)));
        queue.opened(0, units(0, 4));
        for _ in 0..2 {
            assert!(matches!(queue.next(), Next::Part(_)));
        }
        assert_eq!(queue.ended(0, Ended::SnapshotLost), Table::GoesOn);
        assert!(
            matches!(queue.next(), Next::Wait),
            "its other parts are gone"
        );
        assert_eq!(queue.ended(0, Ended::Loaded), Table::BeginsAgain);
        assert!(matches!(queue.next(), Next::Open(0)));
    }

    #[test]
    fn small_tables_go_together_and_fewer_at_the_end() {
        let mut queue = Queue::<()>::new(1_002, |job| job > 1);
        assert!(matches!(queue.next(), Next::Open(0)));
        assert!(matches!(queue.next(), Next::Open(1)));
        let mut sizes = Vec::new();
        let mut seen = 2;
        while let Next::Together(jobs) = queue.next() {
            assert!(jobs.iter().copied().eq(seen..seen + jobs.len()));
            seen += jobs.len();
            sizes.push(jobs.len());
        }
        assert_eq!(seen, 1_002);
        assert_eq!((sizes[0], sizes[sizes.len() - 1]), (32, 1));
        assert!(matches!(queue.next(), Next::Wait));
        queue.opened(0, Vec::new());
        queue.opened(1, Vec::new());
        for _ in 1..sizes.len() {
            queue.went_together(Vec::new());
        }
        queue.went_together(vec![7, 8]);
        assert!(matches!(queue.next(), Next::Open(7)));
        assert!(matches!(queue.next(), Next::Open(8)));
    }
}
