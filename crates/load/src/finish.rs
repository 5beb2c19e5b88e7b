//! What comes after the rows and their indexes: partitions' indexes attached, foreign keys
//! added and validated, everything else, materialized views filled.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use trunkline_changes::{Side, TableName};
use trunkline_postgres::{OnSide, Session};

use crate::build_memory;
use crate::catalog::TableKind;
use crate::error::LoadError;
use crate::inventory::Inventory;
use crate::limits::ENTRIES_AT_ONCE;
use crate::loader::Loader;
use crate::progress::{Count, Progress};
use crate::retrying::retried;
use crate::structure::{
    Entry, ForeignKey, Key, REFRESHED, Record, Runner, Stage, Structure, VALIDATED, key, key_as,
    relation_of, split_foreign_key,
};
use crate::workers::all_ended;

/// Commits wait for the target's disk.
const DURABLE: &str = "SET synchronous_commit = local";

/// The queries of views are the user's: they are compiled if his server does that.
const AS_THE_SERVER_COMPILES: &str = "SET jit TO DEFAULT";

/// A statement that is recorded under a key.
pub(crate) struct Task {
    pub(crate) key: Key,
    pub(crate) label: String,
    pub(crate) sql: String,
    /// Whether the copy can do without it.
    pub(crate) dispensable: bool,
}

impl Task {
    /// Runs it, once.
    pub(crate) async fn run(&self, runner: &mut Runner) -> Result<(), LoadError> {
        if self.dispensable {
            let tried = runner.try_to_run(&self.key, &self.label, &self.sql).await;
            return tried.map(drop);
        }
        runner.run(&self.key, &self.label, &self.sql).await
    }
}

async fn run_group(runner: &mut Runner, group: &[Task]) -> Result<(), LoadError> {
    let together = group.iter().map(|task| (&task.key, task.sql.as_str()));
    if group.len() > 1 && runner.run_together(together).await.is_ok() {
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
        self.make_late(&inventory.structure, Stage::Attach, &record)
            .await?;
        self.analyze(&inventory.tables, &[], &record).await?;
        self.make_durable().await
    }

    /// Everything that is left of the structure, and what [`Loader::finish_tables`] does.
    /// Foreign keys are validated: the rows must be of one moment, so where the source was
    /// written to during the copy, the changes since must be applied first.
    pub async fn finish_structure(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let structure = &inventory.structure;
        let rest = [
            Stage::Statistics,
            Stage::Attach,
            Stage::Rest,
            Stage::ViewIndex,
        ];
        let entries = rest.iter().flat_map(|&stage| structure.staged(stage));
        let entries: Vec<&Entry> = entries.collect();
        loop {
            let record = self.record().await?;
            self.progress.post_data.start(entries.len());
            // Before the rows, unless an earlier version began, or a crash took them back.
            self.make_late(structure, Stage::Statistics, &record)
                .await?;
            self.make_late(structure, Stage::Attach, &record).await?;
            self.foreign_keys(inventory).await?;
            self.make_late(structure, Stage::Rest, &record).await?;
            let closed = self.close_public(&record).await?;
            let views = self.fill_views(structure, &record).await?;
            self.make_late(structure, Stage::ViewIndex, &record).await?;
            self.analyze(&inventory.tables, &views, &record).await?;
            drop(record);
            let keys = entries.iter().map(|entry| key(entry)).chain(closed);
            if self.have_lasted(keys).await?.is_some() {
                self.analyze_catalogs(structure.entries.len()).await;
                return Ok(());
            }
        }
    }

    async fn make_late(
        &self,
        structure: &Arc<Structure>,
        stage: Stage,
        record: &Record,
    ) -> Result<(), LoadError> {
        let count: fn(&Progress) -> &Count = |progress| &progress.post_data;
        self.make_stage(structure, stage, record, count).await
    }

    async fn foreign_keys(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let structure = &inventory.structure;
        let entries = structure.staged(Stage::ForeignKey);
        if entries.is_empty() {
            return Ok(());
        }
        let by_id = structure.by_id();
        let target_major = self.target_major().await?;
        let partitioned: HashSet<&TableName> = inventory
            .tables
            .iter()
            .filter(|table| table.kind == TableKind::Partitioned)
            .map(|table| &table.name)
            .collect();
        let split = |entry| {
            let owner = relation_of(entry, &by_id).map(Entry::table_name);
            let of_partitioned = owner.is_none_or(|owner| partitioned.contains(&owner));
            let sql = entry.sql()?;
            Ok::<_, LoadError>((
                entry,
                split_foreign_key(&sql, of_partitioned && target_major < 18),
            ))
        };
        self.progress.foreign_keys.start(entries.len());
        let record = loop {
            let record = self.record().await?;
            let mut runner = self.runner("foreign keys").forgiving(structure.partial);
            let mut left = entries.clone();
            left.retain(|entry| !record.holds(&key(entry)));
            drop(record);
            // One that is not validated later may take long when it is added, and one of or to
            // a partitioned table locks every partition.
            let is_quick = |(entry, split): &(&Entry, ForeignKey)| {
                let mut needed = entry.needs.iter().filter_map(|id| by_id.get(id));
                split.validate.is_some()
                    && !needed.any(|needed| partitioned.contains(&needed.table_name()))
            };
            for some in left.chunks(ENTRIES_AT_ONCE) {
                let some = some.iter().copied().map(split);
                let some = some.collect::<Result<Vec<_>, _>>()?;
                for alike in some.chunk_by(|a, b| is_quick(a) && is_quick(b)) {
                    let alike = alike.iter().map(|(entry, key)| (*entry, key.add.as_str()));
                    runner.make_together_as(&alike.collect::<Vec<_>>()).await?;
                }
            }
            if let Some(record) = self
                .have_lasted(entries.iter().map(|entry| key(entry)))
                .await?
            {
                break record;
            }
        };
        let mut validations = Vec::new();
        for entry in entries {
            let validated = key_as(entry, VALIDATED);
            let left = record.made(&key(entry)) && !record.holds(&validated);
            let validation = if left { split(entry)?.1.validate } else { None };
            match validation {
                None => self.progress.foreign_keys.one_done(),
                Some(sql) => validations.push(vec![Task {
                    key: validated,
                    label: format!("{entry}, validated"),
                    sql,
                    dispensable: false,
                }]),
            }
        }
        self.side_by_side(validations.into_iter(), "foreign keys", |loader| {
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
    /// it reads: `pg_dump` writes them in that order. Gives their names.
    async fn fill_views(
        &self,
        structure: &Structure,
        record: &Record,
    ) -> Result<Vec<TableName>, LoadError> {
        let entries = structure.entries.iter();
        let mut views: Vec<&Entry> = entries
            .filter(|entry| entry.kind() == "MATERIALIZED VIEW")
            .collect();
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let filled = retried(&self.cancel, || self.filled_views()).await?;
        views.retain(|view| filled.contains(&view.table_name()));
        let mut runner = Runner::new(
            &self.target,
            "materialized views",
            format!("{DURABLE}; {AS_THE_SERVER_COMPILES}"),
            &self.cancel,
        );
        for view in &views {
            let refreshed = key_as(view, REFRESHED);
            if !record.holds(&refreshed) {
                let sql = format!("REFRESH MATERIALIZED VIEW {};", view.table_name().quoted());
                runner
                    .run(&refreshed, &format!("{view}, filled"), &sql)
                    .await?;
            }
        }
        Ok(views.iter().map(|view| view.table_name()).collect())
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
        let names = rows.iter().map(|row| row.table_name(0, 1));
        let names = names.collect::<Result<_, trunkline_postgres::PgError>>();
        Ok(names.on(Side::Source, doing)?)
    }

    /// Runs groups of tasks on as many connections as builds have, each group in one
    /// transaction; where that fails, one by one. A group is taken from `groups` when somebody
    /// is free for it.
    pub(crate) async fn side_by_side(
        &self,
        groups: impl Iterator<Item = Vec<Task>>,
        purpose: &'static str,
        done: fn(&Progress),
    ) -> Result<(), LoadError> {
        let (give, take) = mpsc::channel(1);
        let take = Arc::new(Mutex::new(take));
        let cancel = self.cancel.child_token();
        let mut running = JoinSet::new();
        for _ in 0..self.options.index_jobs.max(1) {
            let (take, progress) = (Arc::clone(&take), Arc::clone(&self.progress));
            // What no entry stands for is not looked for again: its commits wait for the disk.
            let settings = format!("{DURABLE}; {}", build_memory::session_sql());
            let mut runner = Runner::new(&self.target, purpose, settings, &cancel);
            running.spawn(async move {
                loop {
                    let group: Option<Vec<Task>> = take.lock().await.recv().await;
                    let Some(group) = group else { return Ok(()) };
                    run_group(&mut runner, &group).await?;
                    for _ in &group {
                        done(&progress);
                    }
                }
            });
        }
        // The workers alone take; once they have ended nobody does.
        drop(take);
        let giving = async move {
            for group in groups {
                if give.send(group).await.is_err() {
                    break;
                }
            }
        };
        let (ended, ()) = tokio::join!(all_ended(running, &cancel), giving);
        ended.map(drop)
    }
}
