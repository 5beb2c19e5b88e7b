//! Indexes and constraints, as soon as a table's rows are in: its primary key first, then
//! its other constraints one by one (each locks the table), then its indexes side by side.
//! Where a large key has company, its index is built beside the others, and the constraint
//! takes it over at the end: no index waits for another. Among all tables whose turn it is,
//! the longest build goes first.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trunkline_changes::TableName;
use trunkline_postgres::Conninfo;

use crate::error::LoadError;
use crate::finish::Task;
use crate::limits::{BUILT_APART_BYTES, ENTRIES_AT_ONCE};
use crate::progress::{Progress, TableProgress, TableState};
use crate::structure::{
    BuildStep, Entry, INDEXED, Record, Runner, Structure, TableBuild, key, key_as, split_constraint,
};

/// Which builds are possible now: pure.
#[derive(Debug, Default)]
struct Turns {
    /// By table: groups still to come; the builds of one group go side by side.
    groups: Vec<VecDeque<Vec<Step>>>,
    /// By table: builds of the current group that have not ended.
    unfinished: Vec<usize>,
    /// Possible now, with its table.
    ready: BinaryHeap<(Step, usize)>,
    running: usize,
    /// Tables whose rows are not in.
    outstanding: usize,
}

/// How long it takes, the entry, and what of it is built.
type Step = (u64, usize, Part);

/// What of an entry is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Whole,
    /// The index of a constraint.
    Index,
    /// The constraint over that index.
    TakeOver,
}

#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Build {
        table: usize,
        entry: usize,
        part: Part,
    },
    Wait,
    Done,
}

impl Turns {
    /// `stands` says whether the index of a constraint was built before.
    fn new(builds: &[TableBuild], stands: impl Fn(&BuildStep) -> bool) -> Self {
        let groups: Vec<_> = builds.iter().map(|b| groups(b, &stands)).collect();
        Turns {
            unfinished: vec![0; groups.len()],
            outstanding: groups.len(),
            groups,
            ready: BinaryHeap::new(),
            running: 0,
        }
    }

    fn rows_are_in(&mut self, table: usize) {
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

    fn next(&mut self) -> Turn {
        if let Some(((_, entry, part), table)) = self.ready.pop() {
            self.running += 1;
            return Turn::Build { table, entry, part };
        }
        if self.outstanding > 0 || self.running > 0 {
            Turn::Wait
        } else {
            Turn::Done
        }
    }

    /// Gives whether the table has no builds left.
    fn built(&mut self, table: usize) -> bool {
        self.running -= 1;
        self.unfinished[table] -= 1;
        self.unfinished[table] == 0 && self.next_group(table)
    }
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
    let indexes = apart.iter().filter(|step| !stands(step));
    let beside: Vec<Step> = indexes
        .map(part(Part::Index))
        .chain(beside.iter().map(part(Part::Whole)))
        .collect();
    let alone = alone.iter().map(part(Part::Whole)).map(|step| vec![step]);
    let taken_over = apart
        .iter()
        .map(part(Part::TakeOver))
        .map(|step| vec![step]);
    let beside = (!beside.is_empty()).then_some(beside);
    alone.chain(beside).chain(taken_over).collect()
}

/// Where the copy says whose rows are in, and the builders look for work.
pub(crate) struct Board {
    turns: Mutex<Turns>,
    places: HashMap<TableName, usize>,
    tables: Vec<Option<Arc<TableProgress>>>,
    /// By entry: what goes before it in its transaction.
    settings: HashMap<usize, String>,
    changed: Notify,
}

impl Board {
    /// What is left to build on tables that take rows; what the record holds is not.
    pub(crate) fn new(
        structure: &Structure,
        mut builds: Vec<TableBuild>,
        record: &Record,
        tables: &[Arc<TableProgress>],
        progress: &Progress,
    ) -> Self {
        let total: usize = builds.iter().map(|build| build.steps.len()).sum();
        progress.indexes.start(total);
        for build in &mut builds {
            build.steps.retain(|step| {
                let made = record.holds(&key(&structure.entries[step.entry]));
                if made {
                    progress.indexes.one_done();
                }
                !made
            });
        }
        let by_name: HashMap<&TableName, &Arc<TableProgress>> =
            tables.iter().map(|table| (&table.name, table)).collect();
        let stands =
            |step: &BuildStep| record.holds(&key_as(&structure.entries[step.entry], INDEXED));
        Board {
            turns: Mutex::new(Turns::new(&builds, stands)),
            tables: builds
                .iter()
                .map(|b| by_name.get(&b.table).map(|t| Arc::clone(t)))
                .collect(),
            settings: (builds.iter().flat_map(|build| &build.steps))
                .map(|step| (step.entry, step.settings.clone()))
                .collect(),
            places: builds.into_iter().map(|b| b.table).zip(0..).collect(),
            changed: Notify::new(),
        }
    }

    /// A table's rows are in. Says nothing of a table on which nothing is built.
    pub(crate) fn rows_are_in(&self, table: &TableName) {
        if let Some(&place) = self.places.get(table) {
            self.turns().rows_are_in(place);
        }
        self.changed.notify_waiters();
    }

    /// Tables on which something is built, and whose rows no copy will bring.
    pub(crate) fn without_rows<'a>(
        &'a self,
        copied: impl Iterator<Item = &'a TableName>,
    ) -> Vec<TableName> {
        let copied: std::collections::HashSet<_> = copied.collect();
        self.places
            .keys()
            .filter(|table| !copied.contains(table))
            .cloned()
            .collect()
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What builds run with.
pub(crate) struct Builders {
    pub(crate) target: Conninfo,
    pub(crate) settings: String,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: Arc<Progress>,
    /// What gathers the statistics of large tables, once everything stands on them.
    pub(crate) analyses: HashMap<TableName, Task>,
}

impl Builders {
    /// Builds until every table's rows are in and everything stands.
    pub(crate) async fn run(
        self,
        board: Arc<Board>,
        structure: Arc<Structure>,
        jobs: usize,
    ) -> Result<(), LoadError> {
        let mut tasks = JoinSet::new();
        let builders = Arc::new(self);
        for _ in 0..jobs.max(1) {
            let (builders, board) = (Arc::clone(&builders), Arc::clone(&board));
            let structure = Arc::clone(&structure);
            tasks.spawn(async move { builders.work(&board, &structure).await });
        }
        let mut first = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.unwrap_or_else(|panic| Err(LoadError::Task(panic.to_string())));
            if let Err(error) = ended {
                builders.cancel.cancel();
                if first.is_ok() {
                    first = Err(error);
                }
            }
        }
        first
    }

    async fn work(&self, board: &Board, structure: &Structure) -> Result<(), LoadError> {
        let mut runner = Runner::new(&self.target, "index", self.settings.clone(), &self.cancel);
        loop {
            let mut changed = std::pin::pin!(board.changed.notified());
            changed.as_mut().enable();
            let turn = board.turns().next();
            match turn {
                Turn::Done => return Ok(()),
                Turn::Wait => tokio::select! {
                    () = changed => {}
                    () = self.cancel.cancelled() => return Err(LoadError::Cancelled),
                },
                Turn::Build { table, entry, part } => {
                    let settings = &board.settings[&entry];
                    build(&mut runner, &structure.entries[entry], part, settings).await?;
                    if part != Part::Index {
                        self.progress.indexes.one_done();
                    }
                    let finished = board.turns().built(table);
                    board.changed.notify_waiters();
                    if let Some(table) = board.tables[table].as_ref().filter(|_| finished) {
                        table.set_state(TableState::Done);
                        if let Some(analysis) = self.analyses.get(&table.name) {
                            analysis.run(&mut runner).await?;
                        }
                    }
                }
            }
        }
    }
}

async fn build(
    runner: &mut Runner,
    entry: &Entry,
    part: Part,
    settings: &str,
) -> Result<(), LoadError> {
    let constraint = split_constraint(&entry.sql);
    let made = match (part, constraint) {
        (Part::Index, Some(constraint)) => {
            let label = format!("the index of {entry}");
            let (key, sql) = (
                key_as(entry, INDEXED),
                settings.to_owned() + &constraint.index,
            );
            return runner.run(&key, &label, &sql).await;
        }
        (Part::TakeOver, Some(constraint)) => runner.make_as(entry, &constraint.take_over).await,
        (Part::Whole, _) | (_, None) => {
            let sql = settings.to_owned() + &entry.sql;
            runner.make_as(entry, &sql).await
        }
    };
    made.map(drop)
}

/// Makes entries in order, each once, some at a time.
pub(crate) async fn make_in_order<'a>(
    runner: &mut Runner,
    record: &Record,
    entries: impl IntoIterator<Item = &'a Entry>,
    done: impl Fn(),
) -> Result<(), LoadError> {
    let (made, left): (Vec<&Entry>, Vec<&Entry>) = entries
        .into_iter()
        .partition(|entry| record.holds(&key(entry)));
    for _ in made {
        done();
    }
    for some in left.chunks(ENTRIES_AT_ONCE) {
        runner.make_together(some).await?;
        for _ in some {
            done();
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
