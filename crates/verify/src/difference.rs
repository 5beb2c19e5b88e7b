//! One row that the two sides do not agree on. Holds always: it names the row and its
//! columns, never what they hold beyond the key.

use serde::{Deserialize, Serialize};
use trunkline_changes::TableName;

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The source has it, the target has not.
    Missing,
    /// The target has it, the source has not.
    Extra,
    /// Both have it, with other contents.
    Different,
    /// The target has more copies of it than the source.
    Duplicated,
}

impl DifferenceKind {
    /// As reports and `trunkline.validation_failures` say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Extra => "extra",
            DifferenceKind::Different => "different",
            DifferenceKind::Duplicated => "duplicated",
        }
    }
}

/// One column of a key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The column.
    pub column: String,
    /// Its value, as the type's output function writes it under pinned settings.
    pub value: Option<String>,
}

/// Where a row lies, while nobody moves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The table that holds it, a partition by its own name; as SQL, quoted and with its schema.
    pub relation: String,
    /// Its `ctid`.
    pub ctid: String,
}

/// A row that the two sides do not agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDifference {
    /// The target's table.
    pub table: TableName,
    /// How it differs.
    pub kind: DifferenceKind,
    /// What tells it apart; empty where the table has no key.
    pub key: Vec<KeyValue>,
    /// The columns that differ, sorted; only of [`DifferenceKind::Different`].
    pub columns: Vec<String>,
    /// Where it lies on the source; of a missing or a different row.
    pub source: Option<Place>,
    /// Where it lies on the target; of every other than a missing one. Of a duplicated row,
    /// the copy that is one too many.
    pub target: Option<Place>,
}
