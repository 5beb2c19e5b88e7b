//! What a comparison of two databases found: what JSON prints, and what text is made from.

use serde::Serialize;
use trunkline_changes::{Side, TableName};
use trunkline_verify::{DifferenceKind, RowDifference, SchemaDifference, TableVerdict};

/// A table that one side lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingTable {
    /// The table.
    pub table: TableName,
    /// The side that does not have it.
    pub on: Side,
}

/// A column that one side lacks, and that is therefore not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnLeftOut {
    /// Its table.
    pub table: TableName,
    /// The column.
    pub column: String,
    /// The side that does not have it.
    pub missing_on: Side,
}

/// What kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncompared {
    /// A table.
    Table,
    /// A sequence.
    Sequence,
    /// Large objects.
    LargeObjects,
}

/// Something that could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// What it is.
    pub kind: Uncompared,
    /// Its name, if it has one.
    pub name: Option<TableName>,
    /// The side that did not let itself be read.
    pub side: Side,
    /// Why.
    pub why: String,
}

impl NotCompared {
    /// Whether a standby that is the target does not have it, because it is in no log.
    pub(crate) fn is_unlogged_on_standby(&self) -> bool {
        self.side == Side::Target && self.why.contains("unlogged")
    }
}

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SequencePosition {
    /// The last number, or the next one if `is_called` is false.
    pub last_value: i64,
    /// Whether `last_value` was given out.
    pub is_called: bool,
}

/// How a sequence of the target stands to that of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SequenceOutcome {
    /// The target has none of that name.
    MissingOnTarget,
    /// The source has none of that name.
    MissingOnSource,
    /// The target would give out numbers that the source has given out.
    Behind,
    /// The target has given out numbers that the source has not.
    Ahead,
    /// Its type, bounds, step or start are others.
    Parameters,
}

/// A sequence that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SequenceReport {
    /// Its name.
    pub sequence: TableName,
    /// How.
    pub outcome: SequenceOutcome,
    /// Where it stands on the source.
    pub source: Option<SequencePosition>,
    /// Where it stands on the target.
    pub target: Option<SequencePosition>,
}

/// A large object that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LargeObjectDifference {
    /// Its number.
    pub oid: u32,
    /// How.
    pub kind: DifferenceKind,
}

/// The large objects of both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LargeObjectsReport {
    /// How many the source has.
    pub source: u64,
    /// How many the target has.
    pub target: u64,
    /// How many differ.
    pub differing: u64,
    /// The first of those.
    pub differences: Vec<LargeObjectDifference>,
    /// How many are on both sides and could not be read on one.
    pub not_read: u64,
}

/// What a comparison of two databases without a migration found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AloneReport {
    /// [`crate::report::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether all that was asked for was compared, and is the same.
    pub equal: bool,
    /// Whether rows or tables were left out by choice.
    pub partial: bool,
    /// Rows compared, on the source.
    pub rows: u64,
    /// Every table.
    pub tables: Vec<TableVerdict>,
    /// Those that differ.
    pub differences: Vec<TableVerdict>,
    /// Their rows that differ; of a table with very many, the first 100,000.
    pub row_differences: Vec<RowDifference>,
    /// Rows that differed and moved from look to look: they do not count as different.
    pub busy_rows: Vec<RowDifference>,
    /// Tables that one side lacks.
    pub missing_tables: Vec<MissingTable>,
    /// Columns that one side lacks: their tables were compared without them.
    pub columns_left_out: Vec<ColumnLeftOut>,
    /// How the structures differ; those that are not certain do not count.
    pub schema_differences: Vec<SchemaDifference>,
    /// Sequences that differ.
    pub sequence_differences: Vec<SequenceReport>,
    /// The large objects, if they were asked for.
    pub large_objects: Option<LargeObjectsReport>,
    /// What could not be compared.
    pub errors: Vec<NotCompared>,
    /// Seconds.
    pub seconds: f64,
}

impl AloneReport {
    /// Whether something was found that differs for certain.
    pub fn differs(&self) -> bool {
        !self.differences.is_empty()
            || !self.missing_tables.is_empty()
            || !self.sequence_differences.is_empty()
            || self.schema_differences.iter().any(|found| found.certain)
            || self.large_objects.as_ref().is_some_and(|l| l.differing > 0)
    }

    /// The exit code: what differs is said before what could not be read.
    pub fn exit_code(&self) -> u8 {
        let unread = |side| self.errors.iter().any(|error| error.side == side);
        if self.differs() {
            6
        } else if unread(Side::Source) {
            4
        } else if unread(Side::Target) {
            5
        } else {
            0
        }
    }
}
