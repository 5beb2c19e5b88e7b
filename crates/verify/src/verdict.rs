//! What the checksums of the two sides say of a table. Pure.

use std::time::Duration;

use trunkline_changes::TableName;

use crate::checksum::Checksum;

/// How a table came out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Same rows, same contents.
    Matched,
    /// The counts differ.
    CountsDiffer,
    /// The counts agree and the contents do not.
    ContentsDiffer,
    /// The table was emptied or rewritten between the snapshot and the reading, so that the
    /// rows of the snapshot are not there any more: nothing is known.
    Disturbed,
}

/// One table's comparison.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TableVerdict {
    /// The table, by its name on the target.
    pub table: TableName,
    /// How it came out.
    pub outcome: Outcome,
    /// Rows on the source.
    pub source_rows: u64,
    /// Rows on the target.
    pub target_rows: u64,
    /// How long it took.
    pub seconds: f64,
}

impl TableVerdict {
    /// A table that could not be read in the state that counts.
    pub(crate) fn disturbed(table: TableName) -> Self {
        TableVerdict {
            table,
            outcome: Outcome::Disturbed,
            source_rows: 0,
            target_rows: 0,
            seconds: 0.0,
        }
    }

    /// Whether the table is the same on both sides.
    pub fn matched(&self) -> bool {
        self.outcome == Outcome::Matched
    }
}

/// Compares the two sides of a table.
pub fn judge(
    table: TableName,
    source: &Checksum,
    target: &Checksum,
    took: Duration,
) -> TableVerdict {
    let outcome = if source.rows != target.rows {
        Outcome::CountsDiffer
    } else if source.sum != target.sum {
        Outcome::ContentsDiffer
    } else {
        Outcome::Matched
    };
    TableVerdict {
        table,
        outcome,
        source_rows: source.rows,
        target_rows: target.rows,
        seconds: took.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(source: (u64, i128), target: (u64, i128)) -> Outcome {
        let side = |(rows, sum)| Checksum { rows, sum };
        let table = TableName::new("public", "t");
        judge(table, &side(source), &side(target), Duration::ZERO).outcome
    }

    #[test]
    fn equal_counts_do_not_hide_different_contents() {
        assert_eq!(verdict((2, 5), (2, 5)), Outcome::Matched);
        assert_eq!(verdict((2, 5), (2, 6)), Outcome::ContentsDiffer);
        assert_eq!(verdict((2, 5), (3, 5)), Outcome::CountsDiffer);
    }
}
