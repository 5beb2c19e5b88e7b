//! Indexes and constraints, as soon as a table's rows are in, by as many builders as the
//! caller says; whose turn it is the board tells.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trunkline_changes::TableName;
use trunkline_postgres::Conninfo;

use crate::build_memory::Need;
use crate::error::LoadError;
use crate::finish::Task;
use crate::inventory::Inventory;
use crate::limits::BUILT_APART_BYTES;
use crate::progress::{Progress, TableProgress, TableState};
use crate::statistics::Analyses;
use crate::structure::{
    BuildStep, Entry, INDEXED, Record, Runner, Structure, key, key_as, split_constraint,
};
use crate::turns::{Part, Turn, Turns};
use crate::workers::all_ended;

const BY_ONE_PROCESS: &str = "SET LOCAL max_parallel_maintenance_workers = 0; ";

/// Where the copy says whose rows are in, and the builders look for work.
pub(crate) struct Board {
    turns: Mutex<Turns>,
    /// By the number of its counters: the table's place among those on which something is built.
    places: Vec<Option<u32>>,
    /// By that place.
    tables: Vec<Option<Arc<TableProgress>>>,
    /// By entry: what its memory is chosen by. Small ones have what the session has.
    memory: HashMap<usize, Need>,
    changed: Notify,
}

impl Board {
    /// What is left to build on tables that take rows; what the record holds is not. `copied` are
    /// the tables that a copy brings rows of: all others have theirs.
    pub(crate) fn new(
        inventory: &Inventory,
        record: &Record,
        copied: &[Arc<TableProgress>],
        progress: &Progress,
    ) -> Self {
        let entries = &inventory.structure.entries;
        let steps = &inventory.builds.steps;
        progress.indexes.start(steps.len());
        let left = inventory.builds.by_table().map(|build| {
            let mut left = build.to_vec();
            left.retain(|step| {
                let made = record.holds(&key(&entries[step.entry]));
                if made {
                    progress.indexes.one_done();
                }
                !made
            });
            left
        });
        let stands = |step: &BuildStep| record.holds(&key_as(&entries[step.entry], INDEXED));
        let mut turns = Turns::new(left, stands);
        let numbers: HashMap<&TableName, usize> =
            copied.iter().map(|table| &table.name).zip(0..).collect();
        let (mut places, mut tables) = (vec![None; copied.len()], Vec::new());
        for (place, build) in (0..).zip(inventory.builds.by_table()) {
            let table = &inventory.tables[build[0].table as usize];
            let number = numbers.get(&table.name).copied();
            match number {
                Some(number) => places[number] = Some(place),
                None => turns.rows_are_in(place as usize),
            }
            tables.push(number.map(|number| Arc::clone(&copied[number])));
        }
        let is_large = |step: &&BuildStep| !step.small || step.bytes >= BUILT_APART_BYTES;
        let large = steps.iter().filter(is_large);
        Board {
            turns: Mutex::new(turns),
            places,
            tables,
            memory: large.map(|step| (step.entry, step.memory)).collect(),
            changed: Notify::new(),
        }
    }

    /// The rows of the table with these counters are in. Says nothing of one on which nothing is
    /// built.
    pub(crate) fn rows_are_in(&self, number: usize) {
        if let Some(place) = self.places[number] {
            self.turns().rows_are_in(place as usize);
        }
        self.changed.notify_waiters();
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
    pub(crate) analyses: Analyses,
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
        all_ended(tasks, &builders.cancel).await.map(drop)
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
                Turn::Build {
                    table,
                    entry,
                    part,
                    sparing,
                } => {
                    let alone = if sparing { BY_ONE_PROCESS } else { "" };
                    let memory = board.memory.get(&entry).copied().unwrap_or_default();
                    let settings = memory.sql() + alone;
                    build(&mut runner, &structure.entries[entry], part, &settings).await?;
                    if part != Part::Index {
                        self.progress.indexes.one_done();
                    }
                    if let Some(analysis) = self.stands(board, table, entry) {
                        analysis.run(&mut runner).await?;
                    }
                }
                Turn::Together(small) => {
                    let entries = small.iter().map(|&(_, entry)| &structure.entries[entry]);
                    runner.make_together(&entries.collect::<Vec<_>>()).await?;
                    for (table, entry) in small {
                        self.progress.indexes.one_done();
                        if let Some(analysis) = self.stands(board, table, entry) {
                            analysis.run(&mut runner).await?;
                        }
                    }
                }
            }
        }
    }

    /// Something of a table stands; gives what comes next if it was the last.
    fn stands(&self, board: &Board, table: usize, entry: usize) -> Option<&Task> {
        let finished = board.turns().built(table, entry);
        board.changed.notify_waiters();
        let table = board.tables[table].as_ref().filter(|_| finished)?;
        table.set_state(TableState::Done);
        self.analyses.get(&table.name)
    }
}

async fn build(
    runner: &mut Runner,
    entry: &Entry,
    part: Part,
    settings: &str,
) -> Result<(), LoadError> {
    let sql = entry.sql()?;
    let constraint = split_constraint(&sql);
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
        (Part::Whole | Part::Small, _) | (_, None) => {
            runner.make_as(entry, &(settings.to_owned() + &sql)).await
        }
    };
    made.map(drop)
}
