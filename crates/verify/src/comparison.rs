//! What is to be compared with what: a table of the one side with the tables of the other
//! whose rows it holds, and which of their columns and rows.

use trunkline_changes::TableName;

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
    /// The columns, by name, in one order for both sides.
    pub columns: Vec<String>,
    /// Which rows.
    pub choice: Choice,
    /// Bytes, about.
    pub bytes: u64,
    /// A larger table is read in parts of about this many bytes, where its key allows it.
    pub part_bytes: u64,
}
