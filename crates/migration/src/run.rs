//! What every phase of a running command has at hand: the plan, the journal, who watches,
//! and the facts about tables that follow from them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use trunkline_apply::{CopyCover, KeyRange, TableCover, TableMap};
use trunkline_capture::slot::SlotRecord;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_load::{Cover, Table, TableKind};
use trunkline_postgres::{OnSide, Session};

use crate::control::Control;
use crate::error::Error;
use crate::journal::Object;
use crate::limits::RECONNECT_FOR;
use crate::observer::{Notice, Observer};
use crate::plan::Plan;

/// A command at work on a migration that it holds.
pub(crate) struct Run<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) control: Control,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) cancel: CancellationToken,
    pulse: Pulse,
    warned_of_wal: bool,
}

/// When both servers last answered: a connection that is lost is made again for a while
/// after that, and one that never worked is an error at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// Both servers answered.
    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether that is not long ago.
    pub(crate) fn is_recent(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < RECONNECT_FOR)
    }
}

/// A look at the source while following.
pub(crate) struct SourceLook {
    pub(crate) position: Lsn,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        control: Control,
        observer: &'a dyn Observer,
        cancel: CancellationToken,
        pulse: Pulse,
    ) -> Self {
        Run {
            plan,
            control,
            observer,
            cancel,
            pulse,
            warned_of_wal: false,
        }
    }

    /// Both servers answered.
    pub(crate) fn beat(&self) {
        self.pulse.beat();
    }

    /// The slot that the journal records.
    pub(crate) fn slot(&self) -> Result<&SlotRecord, Error> {
        let slot = self.control.state().slot.as_ref();
        slot.ok_or_else(|| Error::Journal {
            why: "it holds no record of the slot".to_owned(),
        })
    }

    /// The publications: the administrator's, or those that the journal records.
    pub(crate) fn publications(&self) -> Vec<String> {
        if let Some(name) = &self.plan.publication {
            return vec![name.clone()];
        }
        let receipts = &self.control.state().receipts;
        let names = receipts.iter().filter_map(|object| match object {
            Object::Publication(name) => Some(name.clone()),
            Object::Slot(_) | Object::Structure => None,
        });
        names.collect()
    }

    /// What the copy holds, as the ledger says.
    pub(crate) async fn cover(&mut self) -> Result<CopyCover, Error> {
        let ledger = trunkline_load::read_cover(self.control.session()).await?;
        let mut cover = CopyCover::new();
        for (table, copied) in ledger {
            cover.insert(table, table_cover(copied));
        }
        Ok(cover)
    }

    /// Where each table's changes go. Read from the source each time, so that a table made
    /// there since is known to be missing.
    pub(crate) async fn table_map(&mut self) -> Result<TableMap, Error> {
        let (tables, places) = self.tables_and_places().await?;
        let mut map = TableMap::new();
        for table in &tables {
            match places.get(&table.name) {
                Some(place) if table.data => map.route(table.name.clone(), place.clone()),
                _ => map.ignore(table.name.clone()),
            };
        }
        // Of a table that was dropped or renamed on the source since, changes may still come:
        // they belong to where its rows were copied.
        for copied in trunkline_load::read_cover(self.control.session())
            .await?
            .into_keys()
        {
            if map.destination(&copied).is_none() {
                map.route(copied.clone(), copied);
            }
        }
        Ok(map)
    }

    /// The source's tables in scope, and where each stands on the target.
    pub(crate) async fn tables_and_places(
        &mut self,
    ) -> Result<(Vec<Table>, trunkline_load::TableMap), Error> {
        let doing = "reading the tables";
        let mut source = Session::connect(&self.plan.source, "catalog")
            .await
            .on(Side::Source, doing)?;
        let tables = trunkline_load::tables_by_now(&mut source, &self.plan.scope).await?;
        source.close().await;
        let target = trunkline_load::all_tables(self.control.session(), Side::Target).await?;
        let names: Vec<&TableName> = target.iter().map(|table| &table.name).collect();
        let places = trunkline_load::target_map(&tables, names);
        Ok((tables, places))
    }

    /// The source's position, and whether the log that it keeps for us is within budget.
    pub(crate) async fn look_at_source(
        &mut self,
        source: &mut Session,
    ) -> Result<SourceLook, Error> {
        let doing = "reading the log's position";
        let slot = self.slot()?.name.clone();
        let row = source
            .query_one(include_str!("sql/status_source.sql"), &[&slot])
            .await
            .on(Side::Source, doing)?;
        let position = row.get(0).on(Side::Source, doing)?;
        let kept: Option<u64> = row.get(1).on(Side::Source, doing)?;
        self.keep_budget(kept.unwrap_or(0))?;
        Ok(SourceLook { position })
    }

    fn keep_budget(&mut self, kept_bytes: u64) -> Result<(), Error> {
        let budget = self.plan.budget;
        if kept_bytes > budget.wal_kept_stop_bytes {
            return Err(Error::Refused {
                why: format!(
                    "the source keeps {kept_bytes} bytes of log for the migration, above the \
                     plan's wal_kept_stop of {}",
                    budget.wal_kept_stop_bytes
                ),
                hint: "`trunkline abort` gives the log free; or raise the budget and run again"
                    .to_owned(),
            });
        }
        if kept_bytes > budget.wal_kept_warn_bytes && !self.warned_of_wal {
            self.warned_of_wal = true;
            let warning = format!("the source keeps {} MB of log for us", kept_bytes >> 20);
            self.observer.notice(Notice::Warning(&warning));
        }
        Ok(())
    }

    /// Stops here if the operator asked for it.
    pub(crate) fn stop_if_cancelled(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted(self.control.state().phase));
        }
        Ok(())
    }

    /// Both servers answered.
    pub(crate) fn alive(&self) {
        self.pulse.beat();
    }

    /// Says that a step begins.
    pub(crate) fn step(&self, what: &str) {
        tracing::info!(step = what);
        self.observer.notice(Notice::Step(what));
    }
}

fn table_cover(cover: Cover) -> TableCover {
    match cover {
        Cover::Whole(view) => TableCover::Whole(view),
        Cover::ByKey { column, ranges } => TableCover::ByKey {
            column,
            ranges: ranges
                .into_iter()
                .map(|range| KeyRange {
                    lower: range.low,
                    upper: range.high,
                    view: range.snapshot,
                })
                .collect(),
        },
    }
}

/// Whether a table's changes come through the stream: it holds rows itself, writes log, and
/// is not an extension's own.
pub fn is_streamed(table: &Table) -> bool {
    table.kind == TableKind::Ordinary
        && !table.unlogged
        && table.data
        && table.extension_condition.is_none()
}
