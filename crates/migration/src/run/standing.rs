//! The tables of both sides, and which stands for which: by name, by partition, and by the
//! plan's transformations.

use std::collections::{BTreeSet, HashMap};

use trunkline_apply::TableMap;
use trunkline_changes::{ColumnMap, Side, TableName};
use trunkline_load::{Layout, Lineage, Naming, Scope, Table, TableKind, target_map_by};

use super::Run;
use super::beside::Beside;
use crate::error::Error;
use crate::journal::{Leg, Object, State};
use crate::phase::Phase;
use crate::plan::{Plan, StructurePlan};
use crate::way::Way;

/// The tables of both sides.
pub(crate) struct Tables {
    /// Those in scope on the side that changes come from.
    pub(crate) moving: Vec<Table>,
    /// Where each of them stands on the other side.
    pub(crate) places: trunkline_load::TableMap,
    /// Partitioned tables of the other side.
    pub(crate) partitioned: BTreeSet<TableName>,
    /// What the other side has beside them.
    pub(crate) beside: Beside,
    way: Way,
    layout: Layout,
}

impl Tables {
    /// How the columns of a table that moves are called on the other side.
    pub(crate) fn columns(&self, table: &TableName) -> ColumnMap {
        match self.way {
            Way::There => self.layout.columns(table),
            Way::Back => {
                let place = self.places.get(table).unwrap_or(table);
                self.layout.columns(place).turned()
            }
        }
    }

    /// Which of its rows move.
    pub(crate) fn moved(&self, table: &TableName) -> Option<&str> {
        match self.way {
            Way::There => self.layout.condition(table),
            Way::Back => None,
        }
    }

    /// The source's name of a table that moves.
    pub(crate) fn on_source<'a>(&'a self, table: &'a TableName) -> &'a TableName {
        match self.way {
            Way::There => table,
            Way::Back => self.layout.source_of(table).unwrap_or(table),
        }
    }

    /// Columns that stay behind, for reports.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let left_out = self.layout.left_out();
        let each = left_out
            .iter()
            .flat_map(|(table, names)| names.iter().map(move |name| format!("{table}.{name}")));
        each.collect()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// By which names the target's tables go.
pub(crate) fn naming(plan: &Plan, state: &State) -> Naming {
    // What was begun counts, whatever a later command is told.
    let restored = state.receipts.contains(&Object::Structure);
    match plan.structure {
        _ if state.structure_adopted || state.renamed.is_some() => Naming::Final,
        _ if restored => Naming::AsOnSource,
        StructurePlan::Present => Naming::Final,
        StructurePlan::Restore { .. } => Naming::AsOnSource,
    }
}

impl Run<'_> {
    /// Where each table's changes go. Read from both sides each time, so that a table made
    /// there since is known to be missing.
    pub(crate) async fn table_map(&mut self, leg: &Leg) -> Result<TableMap, Error> {
        let (tables, standing) = self.read_both(leg.way).await?;
        let mut map = TableMap::new();
        for table in &tables.moving {
            match tables.places.get(&table.name) {
                Some(place) if table.data => {
                    map.route(table.name.clone(), place.clone());
                    map.columns(table.name.clone(), tables.columns(&table.name))
                }
                _ => map.ignore(table.name.clone()),
            };
        }
        // Of a table that was dropped or renamed since, changes may still come: they belong to
        // where its rows were copied, or to the table of that name.
        let cover = if self.has_ledger(leg) {
            trunkline_load::read_cover(self.control.session()?).await?
        } else {
            std::collections::HashMap::new()
        };
        // Without a ledger, and where a subscription brought the rows, nothing was copied.
        let known: Vec<(TableName, TableName)> = if cover.is_empty() {
            let scope = self.scope_on(leg.way.to(), &tables.layout);
            let alone = |name: &TableName| map.sources_of(name).next().is_none();
            let names = standing.into_iter().map(|table| table.name);
            let names = names.filter(|name| scope.covers_table(name) && alone(name));
            names
                .filter_map(|name| Some((tables.other_name(&name)?.clone(), name)))
                .collect()
        } else {
            let names = cover.into_keys();
            names.map(|name| (name.clone(), self.place(name))).collect()
        };
        for (from, to) in known {
            if map.destination(&from).is_none() {
                map.route(from, to);
            }
        }
        Ok(map)
    }

    /// Where a table that is not on the source any more was put.
    fn place(&self, table: TableName) -> TableName {
        match naming(self.plan, self.control.state()) {
            Naming::AsOnSource => table,
            Naming::Final => self.plan.transform.place(&table),
        }
    }

    /// The tables in scope on the side that changes come from, and where each stands on the
    /// other.
    pub(crate) async fn tables_and_places(&mut self, way: Way) -> Result<Tables, Error> {
        let (mut tables, standing) = self.read_both(way).await?;
        let restored = self.control.state().receipts.contains(&Object::Structure);
        let places = (&tables.places, restored);
        tables.beside = Beside::of(&tables.moving, places, &standing, |table| {
            tables.columns(table)
        });
        Ok(tables)
    }

    /// The same without what stands beside them, and every table of the side that changes go
    /// to.
    async fn read_both(&self, way: Way) -> Result<(Tables, Vec<Table>), Error> {
        self.refuse_other_transform()?;
        let layout = self.layout().await?;
        let scope = self.scope_on(way.from(), &layout);
        let moving = async {
            let mut from = self.connect(way.from(), "catalog").await?;
            let moving = trunkline_load::tables_by_now(&mut from, way.from(), &scope).await?;
            from.close().await;
            Ok::<_, Error>(moving)
        };
        let standing = async {
            let mut to = self.connect(way.to(), "catalog").await?;
            let standing = trunkline_load::all_tables(&mut to, way.to()).await?;
            to.close().await;
            Ok::<_, Error>(standing)
        };
        // Of very many tables each takes seconds.
        let (moving, standing) = tokio::try_join!(moving, standing)?;
        let names: Vec<&TableName> = standing.iter().map(|table| &table.name).collect();
        let places = match way {
            Way::There => target_map_by(&moving, names, |table| Some(layout.place(table))),
            Way::Back => target_map_by(&moving, names, |table| layout.source_of(table)),
        };
        let partitioned = |table: &&Table| table.kind == TableKind::Partitioned;
        let tables = Tables {
            places,
            partitioned: standing
                .iter()
                .filter(partitioned)
                .map(|table| table.name.clone())
                .collect(),
            beside: Beside::default(),
            moving,
            way,
            layout,
        };
        Ok((tables, standing))
    }

    /// What the plan's transformations say of the source's tables.
    pub(crate) async fn layout(&self) -> Result<Layout, Error> {
        let transform = &self.plan.transform;
        if transform.is_none() {
            return Ok(Layout::default());
        }
        let mut source = self.connect(Side::Source, "catalog").await?;
        let scope = &self.plan.scope;
        let tables = trunkline_load::tables_by_now(&mut source, Side::Source, scope).await?;
        source.close().await;
        let naming = naming(self.plan, self.control.state());
        Ok(Layout::new(transform, &tables, naming))
    }

    /// The plan's scope by the names that tables have on a side.
    pub(crate) fn scope_on(&self, side: Side, layout: &Layout) -> Scope {
        match side {
            Side::Source => self.plan.scope.clone(),
            Side::Target => on_target(&self.plan.scope, layout),
        }
    }

    /// A table whose rows were copied moves to the end: a choice that leaves it out now is
    /// refused before anything is done. One that was dropped or renamed is another matter.
    pub(crate) async fn refuse_other_choice(&mut self) -> Result<(), Error> {
        let state = self.control.state();
        let has_ledger = state.leg.as_ref().is_some_and(|leg| self.has_ledger(leg));
        let may_leave_out = !self.plan.scope.is_everything();
        if !has_ledger || !may_leave_out || !state.phase.has_rows() || state.phase.is_switched() {
            return Ok(());
        }
        let copied = trunkline_load::read_cover(self.control.session()?).await?;
        let scope = &self.plan.scope;
        if copied.keys().all(|table| scope.covers_table(table)) {
            return Ok(());
        }
        // It may be a partition of a table that is chosen.
        let mut source = self.connect(Side::Source, "catalog").await?;
        let standing = trunkline_load::all_tables(&mut source, Side::Source).await?;
        source.close().await;
        let lineage = Lineage::of(&standing);
        let is_left_out = |name: &&TableName| {
            let above: Vec<&TableName> = lineage.above(name).collect();
            copied.contains_key(*name) && !scope.covers_partition(name, &above)
        };
        let names = standing.iter().map(|table| &table.name);
        let left_out: Vec<String> = names.filter(is_left_out).map(ToString::to_string).collect();
        if left_out.is_empty() {
            return Ok(());
        }
        Err(Error::Refused {
            why: format!(
                "the migration moves {}, and the choice of tables leaves it out now",
                left_out.join(", ")
            ),
            hint: "choose the tables that it was begun with, or `trunkline abort` and begin anew"
                .to_owned(),
        })
    }

    /// What was begun under one set of names is not gone on with under another.
    pub(crate) fn refuse_other_transform(&self) -> Result<(), Error> {
        let state = self.control.state();
        if matches!(state.phase, Phase::Planned | Phase::Checked) {
            return Ok(());
        }
        let began = state.transform.clone().unwrap_or_default();
        if began == self.plan.transform.describe() {
            return Ok(());
        }
        let began = if began.is_empty() {
            "none".to_owned()
        } else {
            began.join("; ")
        };
        Err(Error::Refused {
            why: format!("the plan's transformations are not those that were begun with: {began}"),
            hint: "put them back into the plan, or `trunkline abort` and begin anew".to_owned(),
        })
    }
}

/// A scope by the names that tables have on the target.
fn on_target(scope: &Scope, layout: &Layout) -> Scope {
    let renamed: HashMap<TableName, TableName> = layout.renamed_places();
    if renamed.is_empty() {
        return scope.clone();
    }
    scope.seen_as(renamed)
}

impl Tables {
    /// The name, on the side that changes come from, of a table of the other side.
    fn other_name<'a>(&'a self, table: &'a TableName) -> Option<&'a TableName> {
        match self.way {
            Way::There => self.layout.source_of(table),
            Way::Back => Some(self.layout.place(table)),
        }
    }
}
