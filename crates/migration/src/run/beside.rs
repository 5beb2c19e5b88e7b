//! What the side that changes go to has beside what moves there, where clients would see it as
//! part of what moved: tables below moved ones, and columns. Pure.

use std::collections::{HashMap, HashSet};

use trunkline_changes::{ColumnMap, TableName};
use trunkline_load::{OWN_SCHEMA, Table, TableKind, TableMap};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    /// Partitions and children that no moved table stands for.
    pub(crate) tables: Vec<TableName>,
    /// Columns that no moved column stands for: nothing is compared with them.
    pub(crate) columns: Vec<(TableName, String)>,
    /// Columns that move and are not there.
    pub(crate) missing: Vec<(TableName, String)>,
    /// Moved tables that belong to other tables there than on the side that they come from: a
    /// partition that was attached or detached since is the same table with the same rows.
    pub(crate) elsewhere: Vec<TableName>,
}

impl Beside {
    /// `names` gives how a moved table's columns are called there. Only where the structure was
    /// `restored` by us do the same tables belong to the same ones.
    pub(super) fn of(
        moving: &[Table],
        (places, restored): (&TableMap, bool),
        standing: &[Table],
        names: impl Fn(&TableName) -> ColumnMap,
    ) -> Self {
        let streamed = || {
            let rows = |table: &&Table| table.data && table.kind == TableKind::Ordinary;
            moving.iter().filter(rows)
        };
        let placed = streamed().filter_map(|table| places.get(&table.name));
        let mut beside = Beside {
            tables: tables_below(&placed.collect(), standing),
            ..Beside::default()
        };
        let there: HashMap<&TableName, &Table> =
            standing.iter().map(|table| (&table.name, table)).collect();
        let lines = Lines::of(moving, places);
        for table in streamed() {
            let place = places.get(&table.name).and_then(|place| there.get(place));
            if let Some(place) = place {
                beside.columns_of(table, place, &names(&table.name));
                if restored && !lines.are_alike(table, place) {
                    beside.elsewhere.push(place.name.clone());
                }
            }
        }
        // Several partitions may have one place.
        for list in [&mut beside.columns, &mut beside.missing] {
            list.sort();
            list.dedup();
        }
        beside
    }

    fn columns_of(&mut self, table: &Table, place: &Table, names: &ColumnMap) {
        let moved = table
            .shape
            .columns
            .iter()
            .map(|column| column.name.as_str());
        let moved: HashSet<&str> = moved.filter_map(|name| names.there(name)).collect();
        let standing = place
            .shape
            .columns
            .iter()
            .map(|column| column.name.as_str());
        let standing: HashSet<&str> = standing.collect();
        let named = |name: &&str| (place.name.clone(), (*name).to_owned());
        self.columns.extend(standing.difference(&moved).map(named));
        self.missing.extend(moved.difference(&standing).map(named));
    }
}

/// What moved tables belong to.
struct Lines<'a> {
    parents: HashMap<&'a TableName, Vec<&'a TableName>>,
    places: &'a TableMap,
    /// Where something moves to.
    placed: HashSet<&'a TableName>,
}

impl<'a> Lines<'a> {
    fn of(moving: &'a [Table], places: &'a TableMap) -> Self {
        let place = |table: &'a Table| places.get(&table.name);
        Lines {
            parents: parents_of(moving),
            places,
            placed: moving.iter().filter_map(place).collect(),
        }
    }

    /// Whether a moved table is below the same moved tables on both sides. Of one above it that
    /// does not move nothing is known.
    fn are_alike(&self, table: &Table, place: &Table) -> bool {
        let above = above(&self.parents, &table.name);
        let mut above = above.into_iter();
        let went_together = above.any(|name| self.places.get(name) == Some(&place.name));
        if went_together || place.kind == TableKind::Partitioned {
            // The rows of several partitions went into one table.
            return true;
        }
        let here = parents(table).map(|name| self.places.get(name));
        let here: Option<HashSet<&TableName>> = here.collect();
        let there = parents(place).filter(|name| self.placed.contains(name));
        here.is_none_or(|here| here == there.collect())
    }
}

fn parents(table: &Table) -> impl Iterator<Item = &TableName> {
    let origin = &table.origin;
    origin
        .partition_of
        .as_deref()
        .into_iter()
        .chain(&origin.inherits)
}

fn parents_of(tables: &[Table]) -> HashMap<&TableName, Vec<&TableName>> {
    let each = tables.iter();
    each.map(|table| (&table.name, parents(table).collect()))
        .collect()
}

/// Tables that a query of a moved table, or of one above it, would read too.
fn tables_below(placed: &HashSet<&TableName>, standing: &[Table]) -> Vec<TableName> {
    let parents = parents_of(standing);
    let is_partitioned: HashSet<&TableName> = standing
        .iter()
        .filter(|table| table.kind == TableKind::Partitioned)
        .map(|table| &table.name)
        .collect();
    let mut read = placed.clone();
    for name in placed {
        read.extend(above(&parents, name));
    }
    let is_stranger = |table: &&Table| {
        let above = above(&parents, &table.name);
        table.kind == TableKind::Ordinary
            && table.name.schema != OWN_SCHEMA
            && !placed.contains(&table.name)
            && above.iter().any(|name| read.contains(name))
            // Rows that go to a partitioned table are compared in all its partitions.
            && !above
                .iter()
                .any(|name| placed.contains(name) && is_partitioned.contains(name))
    };
    let strangers = standing.iter().filter(is_stranger);
    strangers.map(|table| table.name.clone()).collect()
}

fn above<'a>(
    parents: &HashMap<&'a TableName, Vec<&'a TableName>>,
    name: &TableName,
) -> HashSet<&'a TableName> {
    let mut found = HashSet::new();
    let mut left: Vec<&TableName> = parents.get(name).cloned().unwrap_or_default();
    while let Some(next) = left.pop() {
        if found.insert(next) {
            left.extend(parents.get(next).into_iter().flatten());
        }
    }
    found
}
