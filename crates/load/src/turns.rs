//! Indexes and constraints, as soon as a table's rows are in: its primary key first, then
//! its other constraints one by one (each locks the table), then its indexes side by side.
//! Where a large key has company, its index is built beside the others, and the constraint
//! takes it over at the end: no index waits for another. Among all tables whose turn it is,
//! the longest build goes first, and small ones at the end, many in one transaction. Beside a
//! build that takes longer than all others together, these go one by one and by one process
//! each: nothing ends later for it, and where there are few cores the long one has its own.

use std::collections::{BinaryHeap, HashMap};

use crate::limits::{BUILT_APART_BYTES, ENTRIES_AT_ONCE, LONG_BUILD_FACTOR, SHARES};
use crate::structure::{BuildStep, Company};

/// Which builds are possible now: pure.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// All steps: those of a table side by side, in the order of its groups. Of very many tables
    /// a list for each would be most of what is held.
    steps: Vec<Step>,
    tables: Vec<Left>,
    /// Possible now.
    ready: BinaryHeap<Step>,
    /// How long they take, by entry.
    running: HashMap<usize, u64>,
    /// How long all that have not ended take, those that run among them.
    left: u64,
    /// Tables whose rows are not in.
    outstanding: usize,
}

/// What of one table has not ended.
#[derive(Debug)]
struct Left {
    /// The first step of the group that comes next, as a place among all.
    next: usize,
    /// Builds of the current group that have not ended.
    unfinished: usize,
}

/// Something to build. The order is by how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    bytes: u64,
    entry: usize,
    part: Part,
    /// Which of the table's groups; the builds of one go side by side.
    group: u32,
    table: u32,
}

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
    /// From what is left of each table. `stands` says whether the index of a constraint was built
    /// before.
    pub(crate) fn new(
        builds: impl IntoIterator<Item = Vec<BuildStep>>,
        stands: impl Fn(&BuildStep) -> bool,
    ) -> Self {
        let mut turns = Turns::default();
        for (table, build) in (0..).zip(builds) {
            turns.tables.push(Left {
                next: turns.steps.len(),
                unfinished: 0,
            });
            turns.steps.extend(steps(table, &build, &stands));
        }
        turns.steps.shrink_to_fit();
        turns.outstanding = turns.tables.len();
        turns.left = turns.steps.iter().map(duration).sum();
        turns
    }

    pub(crate) fn rows_are_in(&mut self, table: usize) {
        self.outstanding -= 1;
        self.next_group(table);
    }

    /// Gives whether the table has no builds left.
    fn next_group(&mut self, table: usize) -> bool {
        let left = &mut self.tables[table];
        let rest = &self.steps[left.next..];
        let of_one_group =
            |one: &Step, other: &Step| (one.table, one.group) == (other.table, other.group);
        let group = rest.chunk_by(of_one_group).next();
        let group = group.filter(|group| group[0].table as usize == table);
        let Some(group) = group else {
            return true;
        };
        left.next += group.len();
        left.unfinished = group.len();
        self.ready.extend(group);
        false
    }

    pub(crate) fn next(&mut self) -> Turn {
        let sparing = self.is_beside_a_long_one();
        if sparing && self.running.len() > 1 {
            return Turn::Wait;
        }
        let taken = self.take();
        for step in &taken {
            self.running.insert(step.entry, duration(step));
        }
        match taken[..] {
            [step] => Turn::Build {
                table: step.table as usize,
                entry: step.entry,
                part: step.part,
                sparing,
            },
            [] if self.outstanding > 0 || !self.running.is_empty() => Turn::Wait,
            [] => Turn::Done,
            _ => {
                let places = taken.iter().map(|step| (step.table as usize, step.entry));
                Turn::Together(places.collect())
            }
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
    fn take(&mut self) -> Vec<Step> {
        let some = self.ready.len().div_ceil(SHARES).min(ENTRIES_AT_ONCE);
        let mut taken: Vec<Step> = self.ready.pop().into_iter().collect();
        let is_small = |step: &Step| step.part == Part::Small;
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
        self.tables[table].unfinished -= 1;
        self.tables[table].unfinished == 0 && self.next_group(table)
    }
}

/// How long a step takes; what only takes an index over, no time.
fn duration(step: &Step) -> u64 {
    if step.part == Part::TakeOver {
        0
    } else {
        step.bytes
    }
}

/// Whether the index of a constraint is built first, with others beside it.
fn goes_apart(build: &[BuildStep], step: &BuildStep) -> bool {
    step.company == Company::NothingOrIndexes && build.len() > 1 && step.bytes >= BUILT_APART_BYTES
}

/// What is built on a table, in the order of its groups.
fn steps(table: u32, build: &[BuildStep], stands: impl Fn(&BuildStep) -> bool) -> Vec<Step> {
    let (mut alone, beside): (Vec<&BuildStep>, Vec<_>) = build
        .iter()
        .partition(|step| step.company != Company::Indexes);
    alone.sort_by_key(|step| (!step.primary, std::cmp::Reverse(step.bytes)));
    let (apart, alone): (Vec<&BuildStep>, Vec<_>) = alone
        .into_iter()
        .partition(|step| stands(step) || goes_apart(build, step));
    let whole = |step: &BuildStep| {
        if step.small { Part::Small } else { Part::Whole }
    };
    let mut steps = Vec::with_capacity(build.len() + apart.len());
    let mut add = |group: usize, of: &BuildStep, part| {
        steps.push(Step {
            bytes: of.bytes,
            entry: of.entry,
            part,
            group: u32::try_from(group).unwrap_or(u32::MAX),
            table,
        });
    };
    for (group, step) in alone.iter().enumerate() {
        add(group, step, whole(step));
    }
    for step in apart.iter().filter(|step| !stands(step)) {
        add(alone.len(), step, Part::Index);
    }
    for step in beside {
        add(alone.len(), step, whole(step));
    }
    for (step, group) in apart.iter().zip(alone.len() + 1..) {
        add(group, step, Part::TakeOver);
    }
    steps
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
