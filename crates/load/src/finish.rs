//! What comes after the rows and their indexes: partitions' indexes attached, foreign keys
//! added and validated, everything else, materialized views filled, statistics gathered.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;
use trunkline_changes::{Side, TableName};
use trunkline_postgres::{OnSide, Session};

use crate::build::make_in_order;
use crate::catalog::{Table, TableKind};
use crate::error::LoadError;
use crate::inventory::Inventory;
use crate::limits::{ANALYZED_TOGETHER_BYTES, ENTRIES_AT_ONCE};
use crate::loader::Loader;
use crate::retrying::retried;
use crate::structure::{
    ANALYZED, Entry, Key, REFRESHED, Record, Runner, Stage, Structure, VALIDATED, key, key_as,
    relation_of, split_foreign_key,
};
use crate::transform::Layout;

/// Commits wait for the target's disk.
const DURABLE: &str = "SET synchronous_commit = local";

/// A statement that is recorded under a key.
pub(crate) struct Task {
    key: Key,
    label: String,
    sql: String,
}

impl Task {
    /// Runs it, once.
    pub(crate) async fn run(&self, runner: &mut Runner) -> Result<(), LoadError> {
        runner.run(&self.key, &self.label, &self.sql).await
    }
}

/// Tasks of small tables, put together: each commit waits for the disk, and of 200,000
/// tables that would be all that is waited for.
#[derive(Default)]
struct Groups {
    groups: VecDeque<Vec<Task>>,
    last_bytes: u64,
}

impl Groups {
    fn add(&mut self, task: Task, bytes: u64) {
        let fits = self.last_bytes.saturating_add(bytes) <= ANALYZED_TOGETHER_BYTES;
        match self.groups.back_mut() {
            Some(last) if fits && last.len() < ENTRIES_AT_ONCE => {
                last.push(task);
                self.last_bytes += bytes;
            }
            _ => {
                self.groups.push_back(vec![task]);
                self.last_bytes = bytes;
            }
        }
    }
}

async fn run_group(runner: &mut Runner, group: &[Task]) -> Result<(), LoadError> {
    let together = group.iter().map(|task| (&task.key, task.sql.as_str()));
    if group.len() > 1 && runner.run_together(together).await {
        return Ok(());
    }
    for task in group {
        task.run(runner).await?;
    }
    Ok(())
}

impl Loader {
    /// What changes that are applied to the copy need: partitions' indexes attached, and
    /// statistics. The rows of different tables need not be of one moment yet.
    pub async fn finish_tables(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let record = self.record().await?;
        self.make_stage(&inventory.structure, Stage::Attach, &record)
            .await?;
        self.analyze(&inventory.tables, &record).await?;
        self.make_durable().await
    }

    /// Everything that is left of the structure, and what [`Loader::finish_tables`] does.
    /// Foreign keys are validated: the rows must be of one moment, so where the source was
    /// written to during the copy, the changes since must be applied first.
    pub async fn finish_structure(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let structure = &inventory.structure;
        let rest = [Stage::Attach, Stage::Rest, Stage::ViewIndex];
        let entries = rest.iter().flat_map(|&stage| structure.staged(stage));
        let entries: Vec<&Entry> = entries.collect();
        loop {
            let record = self.record().await?;
            self.progress.post_data.start(entries.len());
            self.make_stage(structure, Stage::Attach, &record).await?;
            self.foreign_keys(inventory).await?;
            self.make_stage(structure, Stage::Rest, &record).await?;
            self.fill_views(structure, &record).await?;
            self.make_stage(structure, Stage::ViewIndex, &record)
                .await?;
            self.analyze(&inventory.tables, &record).await?;
            if self.have_lasted(&entries).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Waits for the disk; gives the record if it holds all of these entries. Commits did not
    /// wait for the disk, so a crash of the target may have taken some back.
    async fn have_lasted(&self, entries: &[&Entry]) -> Result<Option<Record>, LoadError> {
        self.make_durable().await?;
        let record = self.record().await?;
        let all = entries.iter().all(|entry| record.holds(&key(entry)));
        if !all {
            tracing::warn!("the target lost what was made: it is made again");
        }
        Ok(all.then_some(record))
    }

    async fn make_stage(
        &self,
        structure: &Structure,
        stage: Stage,
        record: &Record,
    ) -> Result<(), LoadError> {
        let mut runner = self.runner("structure").forgiving(structure.partial);
        let done = || self.progress.post_data.one_done();
        make_in_order(&mut runner, record, structure.staged(stage), done).await
    }

    async fn foreign_keys(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let structure = &inventory.structure;
        let entries = structure.staged(Stage::ForeignKey);
        let by_id = structure.by_id();
        let target_major = self.target_major().await?;
        let partitioned: HashSet<&TableName> = inventory
            .tables
            .iter()
            .filter(|table| table.kind == TableKind::Partitioned)
            .map(|table| &table.name)
            .collect();
        let split = |entry: &Entry| {
            let owner = relation_of(entry, &by_id).map(Entry::table_name);
            let of_partitioned = owner.is_none_or(|owner| partitioned.contains(&owner));
            split_foreign_key(&entry.sql, of_partitioned && target_major < 18)
        };
        self.progress.foreign_keys.start(entries.len());
        let record = loop {
            let record = self.record().await?;
            let mut runner = self.runner("foreign keys").forgiving(structure.partial);
            for entry in &entries {
                if !record.holds(&key(entry)) {
                    runner.make_as(entry, &split(entry).add).await?;
                }
            }
            if let Some(record) = self.have_lasted(&entries).await? {
                break record;
            }
        };
        let mut validations = VecDeque::new();
        for entry in entries {
            let validated = key_as(entry, VALIDATED);
            let left = record.made(&key(entry)) && !record.holds(&validated);
            match split(entry).validate.filter(|_| left) {
                None => self.progress.foreign_keys.one_done(),
                Some(sql) => validations.push_back(vec![Task {
                    key: validated,
                    label: format!("{entry}, validated"),
                    sql,
                }]),
            }
        }
        self.side_by_side(validations, "foreign keys", |loader| {
            loader.foreign_keys.one_done();
        })
        .await
    }

    async fn target_major(&self) -> Result<u32, LoadError> {
        retried(&self.cancel, || async {
            let session = Session::connect(&self.target, "foreign keys").await;
            Ok(session
                .on(Side::Target, "connecting (foreign keys)")?
                .version()
                .major())
        })
        .await
    }

    /// Fills the materialized views that are filled on the source, each after those that
    /// it reads: `pg_dump` writes them in that order.
    async fn fill_views(&self, structure: &Structure, record: &Record) -> Result<(), LoadError> {
        let views: Vec<&Entry> = structure
            .entries
            .iter()
            .filter(|entry| entry.kind == "MATERIALIZED VIEW")
            .filter(|entry| !record.holds(&key_as(entry, REFRESHED)))
            .collect();
        if views.is_empty() {
            return Ok(());
        }
        let filled = retried(&self.cancel, || self.filled_views()).await?;
        let mut runner = Runner::new(
            &self.target,
            "materialized views",
            DURABLE.to_owned(),
            &self.cancel,
        );
        for view in views {
            let name = view.table_name();
            if filled.contains(&name) {
                let sql = format!("REFRESH MATERIALIZED VIEW {};", name.quoted());
                runner
                    .run(&key_as(view, REFRESHED), &format!("{view}, filled"), &sql)
                    .await?;
            }
        }
        Ok(())
    }

    async fn filled_views(&self) -> Result<HashSet<TableName>, LoadError> {
        let doing = "reading which materialized views are filled";
        let sql = "SELECT n.nspname::text, c.relname::text FROM pg_class c \
                   JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE c.relkind = 'm' AND c.relispopulated";
        let session = Session::connect(&self.source, "structure").await;
        let rows = session
            .on(Side::Source, doing)?
            .query(sql, &[])
            .await
            .on(Side::Source, doing)?;
        let names = rows
            .iter()
            .map(|row| Ok(TableName::new(row.get::<String>(0)?, row.get::<String>(1)?)));
        let names = names.collect::<Result<_, trunkline_postgres::PgError>>();
        Ok(names.on(Side::Source, doing)?)
    }

    /// Gathers the statistics that are not there yet.
    async fn analyze(&self, tables: &[Table], record: &Record) -> Result<(), LoadError> {
        let standing = retried(&self.cancel, || async {
            let session = Session::connect(&self.target, "statistics").await;
            let mut target = session.on(Side::Target, "connecting (statistics)")?;
            crate::catalog::all_tables(&mut target, Side::Target).await
        })
        .await?;
        let analyses = self.analyses(tables, &standing);
        self.progress.analyzed.start(analyses.len());
        let mut tasks = Groups::default();
        for (table, task) in analyses {
            if record.holds(&task.key) {
                self.progress.analyzed.one_done();
            } else {
                tasks.add(task, table.bytes());
            }
        }
        self.side_by_side(tasks.groups, "statistics", |progress| {
            progress.analyzed.one_done();
        })
        .await
    }

    /// The statistics of large tables, by the table's name: gathered when its last index
    /// stands, while others are still built.
    pub(crate) fn large_analyses(
        &self,
        tables: &[Table],
        standing: &[Table],
        record: &Record,
    ) -> HashMap<TableName, Task> {
        // A parent's statistics are of its children's rows too, which may still be missing.
        let parents: HashSet<&TableName> = tables.iter().flat_map(|t| &t.inherits).collect();
        let is_large = |table: &Table| {
            table.bytes() > ANALYZED_TOGETHER_BYTES && !parents.contains(&table.name)
        };
        let analyses = self.analyses(tables, standing).into_iter();
        let left = analyses.filter(|(table, task)| is_large(table) && !record.holds(&task.key));
        left.map(|(table, task)| (table.name.clone(), task))
            .collect()
    }

    /// What gathers each table's statistics, the largest first; `standing` is what stands on
    /// the target. A partitioned table's statement reaches its partitions too.
    fn analyses<'t>(&self, tables: &'t [Table], standing: &[Table]) -> Vec<(&'t Table, Task)> {
        let standing: HashMap<&TableName, &Table> =
            standing.iter().map(|table| (&table.name, table)).collect();
        let layout = Layout::new(&self.options.transform, tables, self.options.naming());
        let mut roots: Vec<&Table> = tables
            .iter()
            .filter(|table| {
                let there = standing.get(layout.place(&table.name));
                let within = |parent: &TableName| standing.contains_key(parent);
                there.is_some_and(|there| !there.partition_of.as_ref().is_some_and(within))
            })
            .collect();
        roots.sort_by_key(|table| std::cmp::Reverse(table.bytes()));
        let analysis = |table: &'t Table| {
            let TableName { schema, name } = table.name.clone();
            let task = Task {
                key: (ANALYZED.to_owned(), schema, name, 0),
                label: format!("the statistics of {}", table.name),
                sql: format!("ANALYZE {};", layout.place(&table.name).quoted()),
            };
            (table, task)
        };
        roots.into_iter().map(analysis).collect()
    }

    /// Runs groups of tasks on as many connections as builds have, each group in one
    /// transaction; where that fails, one by one.
    async fn side_by_side(
        &self,
        tasks: VecDeque<Vec<Task>>,
        purpose: &'static str,
        done: fn(&crate::progress::Progress),
    ) -> Result<(), LoadError> {
        let workers = self.options.index_jobs.clamp(1, tasks.len().max(1));
        let tasks = Arc::new(Mutex::new(tasks));
        let cancel = self.cancel.child_token();
        let mut running = JoinSet::new();
        for _ in 0..workers {
            let (tasks, progress) = (Arc::clone(&tasks), Arc::clone(&self.progress));
            // What no entry stands for is not looked for again: its commits wait for the disk.
            let settings = format!("{}; {DURABLE}", self.build_settings());
            let mut runner = Runner::new(&self.target, purpose, settings, &cancel);
            running.spawn(async move {
                loop {
                    let group = tasks
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    let Some(group) = group else { return Ok(()) };
                    run_group(&mut runner, &group).await?;
                    for _ in &group {
                        done(&progress);
                    }
                }
            });
        }
        let mut first = Ok(());
        while let Some(ended) = running.join_next().await {
            let ended = ended.unwrap_or_else(|panic| Err(LoadError::Task(panic.to_string())));
            if let Err(error) = ended {
                cancel.cancel();
                if first.is_ok() {
                    first = Err(error);
                }
            }
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_tables_share_a_transaction() {
        let mut groups = Groups::default();
        let small = std::iter::repeat_n(8_192, 40);
        for (number, bytes) in [5 << 30, 900 << 10].into_iter().chain(small).enumerate() {
            let task = Task {
                key: (ANALYZED.to_owned(), "s".to_owned(), number.to_string(), 0),
                label: String::new(),
                sql: String::new(),
            };
            groups.add(task, bytes);
        }
        let sizes: Vec<usize> = groups.groups.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 1 + 15, 25]);
    }
}
