//! Indexes and constraints, as soon as a table's rows are in: its primary key first, then
//! its other constraints one by one (each locks the table), then its indexes side by side.
//! Where a large key has company, its index is built beside the others, and the constraint
//! takes it over at the end: no index waits for another. Among all tables whose turn it is,
//! the longest build goes first, and small ones at the end, many in one transaction. Beside a
//! build that takes longer than all others together, these go one by one and by one process
//! each: nothing ends later for it, and where there are few cores the long one has its own.

use std::borrow::Borrow;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use crate::limits::{BUILT_APART_BYTES, ENTRIES_AT_ONCE, LONG_BUILD_FACTOR, SHARES};
use crate::structure::{BuildStep, TableBuild};

/// Which builds are possible now: pure.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// By table: groups still to come; the builds of one group go side by side.
    groups: Vec<VecDeque<Vec<Step>>>,
    /// By table: builds of the current group that have not ended.
    unfinished: Vec<usize>,
    /// Possible now, with its table.
    ready: BinaryHeap<(Step, usize)>,
    /// How long they take, by entry.
    running: HashMap<usize, u64>,
    /// How long all that have not ended take, those that run among them.
    left: u64,
    /// Tables whose rows are not in.
    outstanding: usize,
}

/// How long it takes, the entry, and what of it is built.
type Step = (u64, usize, Part);

/// What of an entry is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// All of it, with others of its kind: it and its table are small.
    Small,
    Whole,
    /// The index of a constraint.
    Index,
    /// The constraint over that index.
    TakeOver,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Build {
        table: usize,
        entry: usize,
        part: Part,
        /// By one process, because of a long one beside it.
        sparing: bool,
    },
    /// Small ones: table and entry.
    Together(Vec<(usize, usize)>),
    Wait,
    Done,
}

impl Turns {
    /// `stands` says whether the index of a constraint was built before.
    pub(crate) fn new(
        builds: impl IntoIterator<Item = impl Borrow<TableBuild>>,
        stands: impl Fn(&BuildStep) -> bool,
    ) -> Self {
        let builds = builds.into_iter();
        let groups: Vec<_> = builds.map(|b| groups(b.borrow(), &stands)).collect();
        Turns {
            unfinished: vec![0; groups.len()],
            outstanding: groups.len(),
            left: groups.iter().flatten().flatten().map(duration).sum(),
            groups,
            ready: BinaryHeap::new(),
            running: HashMap::new(),
        }
    }

    pub(crate) fn rows_are_in(&mut self, table: usize) {
        self.outstanding -= 1;
        self.next_group(table);
    }

    /// Gives whether the table has no builds left.
    fn next_group(&mut self, table: usize) -> bool {
        let Some(group) = self.groups[table].pop_front() else {
            return true;
        };
        self.unfinished[table] = group.len();
        self.ready
            .extend(group.into_iter().map(|step| (step, table)));
        false
    }

    pub(crate) fn next(&mut self) -> Turn {
        let sparing = self.is_beside_a_long_one();
        if sparing && self.running.len() > 1 {
            return Turn::Wait;
        }
        let taken = self.take();
        for (step, _) in &taken {
            self.running.insert(step.1, duration(step));
        }
        match taken[..] {
            [((_, entry, part), table)] => Turn::Build {
                table,
                entry,
                part,
                sparing,
            },
            [] if self.outstanding > 0 || !self.running.is_empty() => Turn::Wait,
            [] => Turn::Done,
            _ => Turn::Together(taken.iter().map(|(step, table)| (*table, step.1)).collect()),
        }
    }

    /// Whether one that runs takes far longer than all others, by estimates that may be wrong
    /// by as much as the factor.
    fn is_beside_a_long_one(&self) -> bool {
        let longest = self.running.values().max();
        longest.is_some_and(|&longest| {
            longest > 0 && longest / LONG_BUILD_FACTOR >= self.left - longest
        })
    }

    /// The longest that is ready, and where that is small others with it: the fewer are left
    /// the fewer, so that all builders have work.
    fn take(&mut self) -> Vec<(Step, usize)> {
        let some = self.ready.len().div_ceil(SHARES).min(ENTRIES_AT_ONCE);
        let mut taken: Vec<(Step, usize)> = self.ready.pop().into_iter().collect();
        let is_small = |(step, _): &(Step, usize)| step.2 == Part::Small;
        if !taken.iter().all(is_small) {
            return taken;
        }
        while taken.len() < some && self.ready.peek().is_some_and(is_small) {
            taken.extend(self.ready.pop());
        }
        taken
    }

    /// Gives whether the table has no builds left.
    pub(crate) fn built(&mut self, table: usize, entry: usize) -> bool {
        self.left -= self.running.remove(&entry).unwrap_or_default();
        self.unfinished[table] -= 1;
        self.unfinished[table] == 0 && self.next_group(table)
    }
}

/// How long a step takes; what only takes an index over, no time.
fn duration(step: &Step) -> u64 {
    if step.2 == Part::TakeOver { 0 } else { step.0 }
}

/// Whether the index of a constraint is built first, with others beside it.
fn goes_apart(build: &TableBuild, step: &BuildStep) -> bool {
    step.apart && build.steps.len() > 1 && step.bytes >= BUILT_APART_BYTES
}

fn groups(build: &TableBuild, stands: impl Fn(&BuildStep) -> bool) -> VecDeque<Vec<Step>> {
    let (mut alone, beside): (Vec<&BuildStep>, Vec<_>) =
        build.steps.iter().partition(|step| step.alone);
    alone.sort_by_key(|step| (!step.primary, std::cmp::Reverse(step.bytes)));
    let (apart, alone): (Vec<&BuildStep>, Vec<_>) = alone
        .into_iter()
        .partition(|step| stands(step) || goes_apart(build, step));
    let part = |part| move |step: &&BuildStep| (step.bytes, step.entry, part);
    let whole = |step: &&BuildStep| {
        let kind = if build.small {
            Part::Small
        } else {
            Part::Whole
        };
        part(kind)(step)
    };
    let indexes = apart.iter().filter(|step| !stands(step));
    let beside: Vec<Step> = indexes
        .map(part(Part::Index))
        .chain(beside.iter().map(whole))
        .collect();
    let alone = alone.iter().map(whole).map(|step| vec![step]);
    let taken_over = apart
        .iter()
        .map(part(Part::TakeOver))
        .map(|step| vec![step]);
    let beside = (!beside.is_empty()).then_some(beside);
    alone.chain(beside).chain(taken_over).collect()
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
