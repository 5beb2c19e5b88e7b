//! What the checksums of the two sides say of a table. Pure.

use std::time::Duration;

use trunkline_changes::TableName;

use crate::checksum::Checksum;
use crate::difference::DifferenceKind;

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
    /// The target has no such table.
    MissingOnTarget,
    /// The source has no such table.
    MissingOnSource,
    /// Rows that differed moved from look to look, and none differs for certain.
    Busy,
}

/// How many rows differ, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RowCounts {
    /// [`DifferenceKind::Missing`].
    pub missing: u64,
    /// [`DifferenceKind::Extra`].
    pub extra: u64,
    /// [`DifferenceKind::Different`].
    pub different: u64,
    /// [`DifferenceKind::Duplicated`].
    pub duplicated: u64,
}

impl RowCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.missing + self.extra + self.different + self.duplicated
    }

    fn of(&mut self, kind: DifferenceKind) -> &mut u64 {
        match kind {
            DifferenceKind::Missing => &mut self.missing,
            DifferenceKind::Extra => &mut self.extra,
            DifferenceKind::Different => &mut self.different,
            DifferenceKind::Duplicated => &mut self.duplicated,
        }
    }

    pub(crate) fn add(&mut self, kind: DifferenceKind) {
        *self.of(kind) += 1;
    }

    /// A missing row and one too many turn out to be one row that differs.
    pub(crate) fn turn(&mut self, missing: DifferenceKind, surplus: DifferenceKind) {
        *self.of(missing) -= 1;
        *self.of(surplus) -= 1;
        self.different += 1;
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: RowCounts) -> RowCounts {
        RowCounts {
            missing: self.missing + other.missing,
            extra: self.extra + other.extra,
            different: self.different + other.different,
            duplicated: self.duplicated + other.duplicated,
        }
    }
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
    /// Rows that differ.
    pub differing: RowCounts,
    /// How long it took, of one worker.
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
            differing: RowCounts::default(),
            seconds: 0.0,
        }
    }

    /// Whether the table is the same on both sides.
    pub fn matched(&self) -> bool {
        self.outcome == Outcome::Matched
    }
}

/// What is known of a table, part by part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) source: Checksum,
    pub(crate) target: Checksum,
    pub(crate) differing: RowCounts,
    pub(crate) parts_differ: bool,
    pub(crate) disturbed: bool,
    pub(crate) took: Duration,
}

impl Tally {
    /// Adds a part.
    pub(crate) fn and(&self, part: &Tally) -> Tally {
        Tally {
            source: self.source.and(&part.source),
            target: self.target.and(&part.target),
            differing: self.differing.and(part.differing),
            parts_differ: self.parts_differ || part.parts_differ,
            disturbed: self.disturbed || part.disturbed,
            took: self.took + part.took,
        }
    }

    /// What they say together. Parts that differ never make up for each other.
    pub(crate) fn verdict(&self, table: TableName) -> TableVerdict {
        let outcome = if self.disturbed {
            Outcome::Disturbed
        } else if self.source.rows != self.target.rows {
            Outcome::CountsDiffer
        } else if self.parts_differ || self.source.sum != self.target.sum {
            Outcome::ContentsDiffer
        } else {
            Outcome::Matched
        };
        TableVerdict {
            table,
            outcome,
            source_rows: self.source.rows,
            target_rows: self.target.rows,
            differing: self.differing,
            seconds: self.took.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(source: (u64, i128), target: (u64, i128)) -> Tally {
        let side = |(rows, sum)| Checksum { rows, sum };
        Tally {
            source: side(source),
            target: side(target),
            parts_differ: source != target,
            ..Tally::default()
        }
    }

    fn outcome(tally: &Tally) -> Outcome {
        tally.verdict(TableName::new("public", "t")).outcome
    }

    #[test]
    fn equal_counts_do_not_hide_different_contents() {
        assert_eq!(outcome(&part((2, 5), (2, 5))), Outcome::Matched);
        assert_eq!(outcome(&part((2, 5), (2, 6))), Outcome::ContentsDiffer);
        assert_eq!(outcome(&part((2, 5), (3, 5))), Outcome::CountsDiffer);
    }

    #[test]
    fn parts_that_make_up_for_each_other_still_differ() {
        let whole = part((2, 5), (2, 6)).and(&part((2, 6), (2, 5)));
        assert_eq!(outcome(&whole), Outcome::ContentsDiffer);
    }
}
