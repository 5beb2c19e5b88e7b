//! What the caller decides before the first change: tables, cover, policy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trunkline_changes::{ColumnMap, Lsn, Side, TableName};

use crate::cover::CopyCover;

/// How an [`crate::Applier`] works.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// Names the row in `trunkline.progress`.
    pub migration: String,
    /// Which of the two servers is written to, for errors.
    pub side: Side,
    /// Where the stream begins: no transaction before it is applied. The slot's consistent
    /// point, or a later position up to which both sides are known to agree.
    pub start: Lsn,
    /// What the copy holds already.
    pub cover: CopyCover,
    /// Where each table's changes go.
    pub tables: TableMap,
    /// What happens to a change that does not fit.
    pub policy: ConflictPolicy,
    /// A whole transaction waits at most this long for company while others are pushed;
    /// when nothing is pushed, the caller flushes.
    pub linger: Duration,
}

/// What happens to a change that does not find its row, finds too many, or is refused by a
/// constraint of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ConflictPolicy {
    /// Stop with an error; nothing of the batch is committed.
    #[default]
    Stop,
    /// Put it into `trunkline.parked` and go on; the cutover is blocked until it is gone.
    Park,
    /// An update of a missing row inserts it, an insert of an existing one updates it, a
    /// delete of a missing one is accepted; what cannot be mended so is parked.
    Upsert,
}

/// Whether a commit waits for the target's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// `synchronous_commit = off`: committed, and lost by a crash of the target, together
    /// with its position.
    Fast,
    /// `synchronous_commit = on`: the position may be confirmed to the source.
    Durable,
}

/// Where the changes of a source table go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To this table of the target.
    Table(TableName),
    /// Nowhere: out of the migration's scope.
    Ignored,
}

/// Source tables → target tables. A change of a table that is not in here is an error.
#[derive(Clone, Debug, Default)]
pub struct TableMap {
    destinations: BTreeMap<TableName, Destination>,
    /// Target tables, each with one of its source tables.
    sources: BTreeSet<(TableName, TableName)>,
    /// Of the tables whose columns do not all go under their own names.
    columns: BTreeMap<TableName, ColumnMap>,
}

impl TableMap {
    /// No tables.
    pub fn new() -> Self {
        TableMap::default()
    }

    /// Every table goes to the one of the same name.
    pub fn same(tables: impl IntoIterator<Item = TableName>) -> Self {
        let mut map = TableMap::new();
        for table in tables {
            map.route(table.clone(), table);
        }
        map
    }

    /// Sends a source table's changes to a target table; several source tables (leaf
    /// partitions) may go to one.
    pub fn route(&mut self, source: TableName, target: TableName) -> &mut Self {
        self.forget(&source);
        self.sources.insert((target.clone(), source.clone()));
        self.destinations.insert(source, Destination::Table(target));
        self
    }

    /// A source table's columns have other names on the target, or no place there.
    pub fn columns(&mut self, source: TableName, columns: ColumnMap) -> &mut Self {
        if columns.is_same() {
            self.columns.remove(&source);
        } else {
            self.columns.insert(source, columns);
        }
        self
    }

    /// How a source table's columns are called on the target; `None` when each goes under its
    /// own name.
    pub fn columns_of(&self, source: &TableName) -> Option<&ColumnMap> {
        self.columns.get(source)
    }

    /// Leaves a source table's changes out.
    pub fn ignore(&mut self, source: TableName) -> &mut Self {
        self.forget(&source);
        self.destinations.insert(source, Destination::Ignored);
        self
    }

    /// Where a source table's changes go; `None` when nobody said.
    pub fn destination(&self, source: &TableName) -> Option<&Destination> {
        self.destinations.get(source)
    }

    /// Every target table, once.
    pub fn targets(&self) -> impl Iterator<Item = &TableName> {
        let mut last = None;
        let targets = self.sources.iter().map(|(target, _)| target);
        targets.filter(move |&target| last.replace(target) != Some(target))
    }

    /// The source tables whose changes go to a target table.
    pub fn sources_of<'a>(&'a self, target: &'a TableName) -> impl Iterator<Item = &'a TableName> {
        let first = (target.clone(), TableName::new("", ""));
        let from_there = self.sources.range(first..);
        let of_it = from_there.take_while(move |(other, _)| other == target);
        of_it.map(|(_, source)| source)
    }

    fn forget(&mut self, source: &TableName) {
        if let Some(Destination::Table(target)) = self.destinations.remove(source) {
            self.sources.remove(&(target, source.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, TableMap};
    use trunkline_changes::TableName;

    #[test]
    fn the_last_word_about_a_table_counts() {
        let (a, b) = (TableName::new("s", "a"), TableName::new("s", "b"));
        let mut map = TableMap::same([a.clone()]);
        map.route(a.clone(), b.clone());
        assert_eq!(map.targets().collect::<Vec<_>>(), [&b]);
        map.ignore(a.clone());
        assert_eq!(map.destination(&a), Some(&Destination::Ignored));
        assert_eq!(map.targets().count(), 0);
        assert_eq!(map.destination(&b), None);
    }
}
