//! The loader: the steps of a copy, in the order in which they are called. Each looks at
//! what was done before it acts, so each may be run again after any interruption.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Conninfo, OnSide, Session};

use crate::build::{Board, Builders};
use crate::build_memory;
use crate::catalog::{self, Parents, Table};
use crate::copy::{self, Copier, CopyJob, Preparation, StandbySnapshots};
use crate::error::LoadError;
use crate::inventory::Inventory;
use crate::large_objects::LargeObjectCopy;
use crate::ledger;
use crate::making::make_in_order;
use crate::options::{LoadOptions, StructureSource};
use crate::progress::{Count, Progress};
use crate::retrying::retried;
use crate::statistics::{Analyses, is_large};
use crate::structure::{self, Company, Entry, Key, LeftOut, Record, Runner, Stage};
use crate::transform::{Layout, leaving_out};

/// Loads a database: structure, rows, indexes, constraints, large objects.
pub struct Loader {
    pub(crate) source: Conninfo,
    pub(crate) target: Conninfo,
    pub(crate) options: LoadOptions,
    pub(crate) progress: Arc<Progress>,
    pub(crate) cancel: CancellationToken,
}

impl Loader {
    /// Nothing is connected or read yet. Cancelling the token ends whatever runs, with
    /// [`LoadError::Cancelled`].
    pub fn new(
        source: Conninfo,
        target: Conninfo,
        options: LoadOptions,
        progress: Arc<Progress>,
        cancel: CancellationToken,
    ) -> Self {
        Loader {
            source,
            target,
            options,
            progress,
            cancel,
        }
    }

    /// The counters that this loader raises.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Makes the ledger's tables in the schema `trunkline`, which must exist.
    pub async fn prepare_ledger(&self) -> Result<(), LoadError> {
        self.on_target(ledger::TABLES_SQL, "making the ledger")
            .await
    }

    /// Makes what comes before the rows: schemas, types, functions, tables, views, statistics
    /// objects.
    pub async fn restore_pre_data(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let structure = &inventory.structure;
        let stages = [Stage::PreData, Stage::Statistics];
        let entries = stages.iter().flat_map(|&stage| structure.staged(stage));
        let entries: Vec<&Entry> = entries.collect();
        let count: fn(&Progress) -> &Count = |progress| &progress.pre_data;
        loop {
            self.progress.pre_data.start(entries.len());
            let record = self.record().await?;
            self.make_stage(structure, Stage::PreData, &record, count)
                .await?;
            let removed = self.remove_columns(inventory, &record).await?;
            self.make_stage(structure, Stage::Statistics, &record, count)
                .await?;
            drop(record);
            let made = entries.iter().map(|entry| structure::key(entry));
            if self.have_lasted(made.chain(removed)).await?.is_some() {
                self.analyze_catalogs(entries.len()).await;
                return Ok(());
            }
        }
    }

    /// Columns that stay behind are gone before the first row comes.
    async fn remove_columns(
        &self,
        inventory: &Inventory,
        record: &Record,
    ) -> Result<Vec<Key>, LoadError> {
        let naming = self.options.naming();
        let layout = Layout::new(&self.options.transform, &inventory.tables, naming);
        let mut runner = self.runner("structure");
        let mut removed = Vec::new();
        for (table, sql) in leaving_out::removals(&inventory.tables, &layout.left_out()) {
            let key = structure::key_of(structure::LEFT_BEHIND, &table);
            if !record.holds(&key) {
                let label = format!("the removal of columns of {table}");
                runner.run(&key, &label, &sql).await?;
            }
            removed.push(key);
        }
        Ok(removed)
    }

    /// Runs SQL that may be run twice.
    pub(crate) async fn on_target(&self, sql: &str, doing: &str) -> Result<(), LoadError> {
        let run = || async {
            let mut target = self.connect(Side::Target, "ledger").await?;
            target.batch(sql).await.on(Side::Target, doing)?;
            Ok(())
        };
        retried(&self.cancel, run).await
    }

    /// Copies the rows of every table in scope and the large objects, and builds each
    /// table's indexes as soon as its rows are in; a large table's statistics come next.
    pub async fn copy_and_build(&self, inventory: &Inventory) -> Result<(), LoadError> {
        loop {
            self.copy_once(inventory).await?;
            if self.copy_has_lasted(inventory).await? {
                return Ok(());
            }
        }
    }

    async fn copy_once(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let (jobs, board, analyses) = self.begin_copy(inventory).await?;
        // One that fails stops the other; the caller's token stops both.
        let cancel = self.cancel.child_token();
        let copier = self.copier(jobs, &board, &cancel);
        let builders = Builders {
            target: self.target.clone(),
            settings: format!(
                "SET synchronous_commit = off; {}",
                build_memory::session_sql()
            ),
            cancel: cancel.clone(),
            progress: Arc::clone(&self.progress),
            analyses,
        };
        let structure = Arc::clone(&inventory.structure);
        let (rows, indexes, large_objects) = tokio::join!(
            stopping(&cancel, copier.run(self.options.jobs)),
            stopping(
                &cancel,
                builders.run(board, structure, self.options.index_jobs)
            ),
            stopping(&cancel, self.copy_large_objects(&cancel)),
        );
        first_cause([rows, indexes, large_objects])
    }

    /// What is to be copied, and built with it. What was read for it is given back: of very
    /// many tables it is much.
    async fn begin_copy(
        &self,
        inventory: &Inventory,
    ) -> Result<(Vec<CopyJob>, Arc<Board>, Analyses), LoadError> {
        let (jobs, standing) = retried(&self.cancel, || self.copy_jobs(inventory)).await?;
        // A copy that ended half-way may have left it. What is still to come asks for it again.
        self.give_storage_back().await?;
        let record = self.record().await?;
        self.build_partitioned(inventory, &record).await?;
        let counters: Vec<_> = jobs.iter().map(|job| Arc::clone(&job.progress)).collect();
        let board = Board::new(inventory, &record, &counters, &self.progress);
        self.progress.copied.start(jobs.len());
        self.progress.begin(counters);
        let analyses = self.large_analyses(inventory, &standing, &record);
        Ok((jobs, Arc::new(board), analyses))
    }

    /// Builds what tells rows apart, before there are any: keys, constraints and unique
    /// indexes. Changes that somebody else applies find their rows by them.
    pub async fn build_keys(&self, inventory: &Inventory) -> Result<(), LoadError> {
        let entries = &inventory.structure.entries;
        let steps = inventory.builds.steps.iter();
        let keys = steps.filter_map(|step| {
            let entry = &entries[step.entry];
            (step.company != Company::Indexes || entry.unique_index).then_some(entry)
        });
        let keys: Vec<&Entry> = keys.collect();
        loop {
            let record = self.record().await?;
            self.build_partitioned(inventory, &record).await?;
            let mut runner = self.runner("structure");
            let mut left = keys.clone();
            left.retain(|entry| !record.holds(&structure::key(entry)));
            drop(record);
            make_in_order(&mut runner, &left, || ()).await?;
            let made = keys.iter().map(|entry| structure::key(entry));
            if self.have_lasted(made).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Columns that a copy stored as they came have their setting back.
    pub async fn give_storage_back(&self) -> Result<(), LoadError> {
        let give = || async {
            let mut target = self.connect(Side::Target, "ledger").await?;
            copy::give_storage_back(&mut target, None).await
        };
        retried(&self.cancel, give).await
    }

    fn copier(
        &self,
        jobs: Vec<CopyJob>,
        board: &Arc<Board>,
        cancel: &CancellationToken,
    ) -> Arc<Copier> {
        // Each table of a standby is looked at under the shared snapshot by itself.
        let together = self.options.standby.is_none();
        let is_small = |job: usize| together && jobs[job].goes_together();
        Arc::new(Copier {
            source: self.source.clone(),
            target: self.target.clone(),
            queue: Mutex::new(copy::Queue::new(jobs.len(), is_small)),
            jobs,
            ours: self.options.structure == StructureSource::Source,
            board: Arc::clone(board),
            progress: Arc::clone(&self.progress),
            cancel: cancel.clone(),
            changed: Notify::new(),
            standby: self
                .options
                .standby
                .clone()
                .map(|standby| StandbySnapshots::new(standby, self.source.clone(), cancel.clone())),
        })
    }

    /// The tables to copy, and what stands on the target of the large ones and partitioned ones.
    async fn copy_jobs(&self, inventory: &Inventory) -> Result<(Vec<CopyJob>, Parents), LoadError> {
        let source = self.connect(Side::Source, "copy").await?;
        let page_ranges = source.version().major() >= 14;
        let connected = copy::loading_session(&self.target).await;
        let (mut target, replica) = connected.on(Side::Target, "connecting to copy")?;
        let tables = catalog::all_tables(&mut target, Side::Target).await?;
        let ledger = ledger::read(&mut target).await?;
        let naming = self.options.naming();
        let layout = Layout::new(&self.options.transform, &inventory.tables, naming);
        let preparation = Preparation {
            source: &inventory.tables,
            target: &tables,
            layout: &layout,
            sizes: self.options.split,
            page_ranges,
            unlogged: self.options.standby.is_none(),
        };
        let mut jobs = copy::jobs(&preparation, ledger)?;
        jobs.retain(|job| !self.options.rows_elsewhere.contains(job.name()));
        refuse_triggers(&mut target, &jobs, replica).await?;
        let large = inventory.tables.iter().filter(|table| is_large(table));
        let large: HashSet<&TableName> = large.map(|table| layout.place(&table.name)).collect();
        let asked =
            |t: &Table| large.contains(&t.name) || t.kind == catalog::TableKind::Partitioned;
        let standing = tables.into_iter().filter(asked);
        let parents = standing.map(|table| (table.name, table.origin.partition_of.clone()));
        Ok((jobs, parents.collect()))
    }

    /// Indexes and keys of partitioned tables hold nothing themselves, and their
    /// partitions' are attached to them later.
    async fn build_partitioned(
        &self,
        inventory: &Inventory,
        record: &Record,
    ) -> Result<(), LoadError> {
        let mut runner = self.runner("structure");
        let places = inventory.builds.partitioned.iter();
        let entries = places.map(|&place| &inventory.structure.entries[place]);
        let left = entries.filter(|entry| !record.holds(&structure::key(entry)));
        make_in_order(&mut runner, &left.collect::<Vec<_>>(), || ()).await
    }

    async fn copy_large_objects(&self, cancel: &CancellationToken) -> Result<(), LoadError> {
        if !self.options.large_objects {
            return Ok(());
        }
        let copy = LargeObjectCopy {
            source: self.source.clone(),
            target: self.target.clone(),
            no_owner: self.options.no_owner,
            no_privileges: self.options.no_privileges,
            progress: Arc::clone(&self.progress),
            cancel: cancel.clone(),
        };
        copy.run().await
    }

    /// What the target refused and we went on without, beside what the scope left out.
    pub async fn given_up(&self) -> Result<Vec<LeftOut>, LoadError> {
        let mut target = self.connect(Side::Target, "structure").await?;
        structure::given_up(&mut target).await
    }

    pub(crate) async fn record(&self) -> Result<Record, LoadError> {
        let read = || async {
            let mut target = self.connect(Side::Target, "structure").await?;
            Record::read(&mut target).await
        };
        retried(&self.cancel, read).await
    }

    pub(crate) fn runner(&self, purpose: &'static str) -> Runner {
        self.stoppable_runner(purpose, &self.cancel)
    }

    pub(crate) fn stoppable_runner(
        &self,
        purpose: &'static str,
        cancel: &CancellationToken,
    ) -> Runner {
        let settings = "SET synchronous_commit = off".to_owned();
        Runner::new(&self.target, purpose, settings, cancel)
    }

    pub(crate) async fn connect(&self, side: Side, purpose: &str) -> Result<Session, LoadError> {
        let conninfo = match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        };
        Ok(Session::connect(conninfo, purpose)
            .await
            .on(side, format!("connecting ({purpose})"))?)
    }
}

/// Stops the others when one fails.
async fn stopping(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<(), LoadError>>,
) -> Result<(), LoadError> {
    let ended = work.await;
    if ended.is_err() {
        cancel.cancel();
    }
    ended
}

/// The error that stopped the others, rather than that they were stopped.
fn first_cause<const N: usize>(ended: [Result<(), LoadError>; N]) -> Result<(), LoadError> {
    let mut errors: Vec<LoadError> = ended.into_iter().filter_map(Result::err).collect();
    let cause = errors
        .iter()
        .position(|error| !matches!(error, LoadError::Cancelled));
    match cause {
        Some(place) => Err(errors.swap_remove(place)),
        None => errors.pop().map_or(Ok(()), Err),
    }
}

/// Refuses a target whose triggers would fire for copied rows: those set to fire always
/// or for a replica, and any other where the role may not play the replica.
async fn refuse_triggers(
    target: &mut Session,
    jobs: &[CopyJob],
    replica: bool,
) -> Result<(), LoadError> {
    let sql = "SELECT DISTINCT n.nspname::text, c.relname::text FROM pg_trigger t \
               JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE NOT t.tgisinternal AND t.tgenabled::text = ANY ($1::text[])";
    let firing: &[&str] = if replica { &["A", "R"] } else { &["A", "O"] };
    let doing = "looking for triggers";
    let rows = target
        .query(sql, &[&firing])
        .await
        .on(Side::Target, doing)?;
    let mut with_triggers = HashSet::new();
    for row in &rows {
        let schema: String = row.get(0).on(Side::Target, doing)?;
        with_triggers.insert(TableName::new(
            schema,
            row.get::<String>(1).on(Side::Target, doing)?,
        ));
    }
    let unfinished = jobs.iter().filter(|job| !job.is_copied());
    match unfinished
        .map(CopyJob::target)
        .find(|table| with_triggers.contains(table))
    {
        Some(table) => Err(LoadError::TriggersWouldFire {
            table: table.clone(),
        }),
        None => Ok(()),
    }
}
