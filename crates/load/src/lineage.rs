//! Which tables stand above which: partitions and the partitioned tables that they belong to.

use std::collections::HashMap;

use trunkline_changes::TableName;

use crate::catalog::Table;

/// The partitioned tables above each of a list.
#[derive(Debug)]
pub struct Lineage<'a> {
    parents: HashMap<&'a TableName, &'a TableName>,
}

impl<'a> Lineage<'a> {
    /// Of these tables.
    pub fn of(tables: &'a [Table]) -> Self {
        let parent = |table: &'a Table| Some((&table.name, table.origin.partition_of.as_deref()?));
        Lineage {
            parents: tables.iter().filter_map(parent).collect(),
        }
    }

    /// Those above a table, the nearest first.
    pub fn above(&self, table: &TableName) -> impl Iterator<Item = &'a TableName> {
        let parent = |name: &TableName| self.parents.get(name).copied();
        std::iter::successors(parent(table), move |name| parent(name))
    }

    /// The same after the table itself.
    pub fn from(&self, table: &'a TableName) -> impl Iterator<Item = &'a TableName> {
        std::iter::once(table).chain(self.above(table))
    }
}
