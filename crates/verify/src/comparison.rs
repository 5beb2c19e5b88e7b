//! What is to be compared with what: a table of the one side with the tables of the other
//! whose rows it holds, and which of their columns and rows.

use std::sync::Arc;

use smol_str::SmolStr;
use trunkline_changes::{ColumnMap, TableName, quote_ident};

/// Which rows of a table are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The table's own rows, without those of tables that inherit from it.
    Only,
    /// The rows of all its partitions.
    WithPartitions,
}

impl Reading {
    /// What stands before the table's name in a FROM clause.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Reading::Only => "ONLY ",
            Reading::WithPartitions => "",
        }
    }
}

/// Which rows take part, beside all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// A condition on the table's columns, as SQL; the same on both sides.
    pub condition: Option<String>,
    /// About this share of the rows, of 65,536; the same rows on both sides, chosen by a hash
    /// of the key.
    pub sample: Option<u32>,
}

/// A table of the server that changes go to, and the tables of the server that they come from
/// whose rows it holds (usually one; the leaves of a partitioned table where the other side
/// is partitioned otherwise).
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Where changes go to.
    pub target: TableName,
    /// Which of its rows.
    pub target_reading: Reading,
    /// Where changes come from, each read by itself.
    pub sources: Vec<TableName>,
    /// How those are read.
    pub source_reading: Reading,
    /// The columns, by name, in one order for both sides. Tables that are alike share them.
    pub columns: Arc<[SmolStr]>,
    /// How columns are called in the target, where they have other names there.
    pub names: ColumnMap,
    /// Which rows of the sources are to be in the target: a condition on their columns, as
    /// SQL; none for all of them. The target is read without it, so that what should not be
    /// there is found.
    pub moved: Option<String>,
    /// Which rows.
    pub choice: Choice,
    /// Bytes, about.
    pub bytes: u64,
    /// A larger table is read in parts of about this many bytes, where its key allows it.
    pub part_bytes: u64,
}

/// One of the two servers of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that changes come from.
    From,
    /// The one that they go to.
    To,
}

impl Comparison {
    /// What stands behind FROM to read a table, which is called `t` then and has the names
    /// that the sources' columns have.
    #[must_use]
    pub fn from_item(&self, end: End, table: &TableName) -> String {
        let reading = match end {
            End::From => self.source_reading,
            End::To => self.target_reading,
        };
        self.item(end, &format!("{}{}", reading.prefix(), table.quoted()))
    }

    /// The same for SQL that names a table.
    pub(crate) fn item(&self, end: End, table: &str) -> String {
        if end == End::From || !self.names.renames() {
            return format!("{table} AS t");
        }
        let columns = self.columns.iter().filter_map(|column| {
            let there = self.names.there(column)?;
            Some(format!(
                ", {} AS {}",
                quote_ident(there),
                quote_ident(column)
            ))
        });
        let columns: String = columns.collect();
        format!("(SELECT tableoid, ctid, xmin{columns} FROM {table}) AS t")
    }
}
