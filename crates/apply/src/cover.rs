//! What the copy holds already. A change belongs to the copy when the snapshot under which
//! its table (or the key range that its row falls in) was read had seen its transaction;
//! otherwise it is applied. Pure.

use std::collections::HashMap;

use trunkline_changes::{OldRow, Relation, Row, SnapshotView, TableName, Value, Xid};

use crate::batch::RowChange;

/// Which snapshot each source table was copied under.
#[derive(Clone, Debug, Default)]
pub struct CopyCover {
    tables: HashMap<TableName, TableCover>,
    apply_unlisted: bool,
    newest: Option<Xid>,
}

/// How one source table was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableCover {
    /// Under one snapshot.
    Whole(SnapshotView),
    /// In ranges of an integer key column, each under its own snapshot; together they hold
    /// every key.
    ByKey {
        /// The column, which belongs to the replica identity.
        column: String,
        /// The ranges.
        ranges: Vec<KeyRange>,
    },
    /// Not at all: every change is applied.
    NotCopied,
}

/// A key range and the snapshot that it was read under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key; `None` from the smallest.
    pub lower: Option<i64>,
    /// The first key that is not in it; `None` to the largest.
    pub upper: Option<i64>,
    /// Which transactions its snapshot saw.
    pub view: SnapshotView,
}

impl KeyRange {
    fn holds(&self, key: i64) -> bool {
        self.lower.is_none_or(|lower| key >= lower) && self.upper.is_none_or(|upper| key < upper)
    }
}

/// It cannot be told whether the copy holds a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot tell whether the copy of {table} (source) holds a change: {why}\nhint: {hint}")]
pub struct CoverError {
    /// The table on the source.
    pub table: TableName,
    /// What is missing.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}

/// A range's lower bound (inclusive) and upper bound (exclusive).
pub(crate) type Bounds = (Option<i64>, Option<i64>);

/// How much of a truncated table is to be emptied on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TruncateScope {
    /// Nothing: the copy was made after it.
    Nothing,
    /// The table.
    Table,
    /// These ranges of this column, lower inclusive and upper exclusive.
    Ranges { column: String, ranges: Vec<Bounds> },
}

impl CopyCover {
    /// Nothing listed yet; a change of a table that is not listed is an error.
    pub fn new() -> Self {
        CopyCover::default()
    }

    /// No table was copied: every change is applied, whichever its table.
    pub fn nothing_copied() -> Self {
        CopyCover {
            apply_unlisted: true,
            ..CopyCover::default()
        }
    }

    /// Says how a source table was copied.
    pub fn insert(&mut self, table: TableName, cover: TableCover) -> &mut Self {
        let views: Vec<&SnapshotView> = match &cover {
            TableCover::Whole(view) => vec![view],
            TableCover::ByKey { ranges, .. } => ranges.iter().map(|range| &range.view).collect(),
            TableCover::NotCopied => Vec::new(),
        };
        self.newest = views
            .iter()
            .map(|view| view.xmax())
            .chain(self.newest)
            .max();
        self.tables.insert(table, cover);
        self
    }

    /// Whether a transaction's changes of a table may all be applied without a look at them.
    pub(crate) fn precedes(&self, xid: u32) -> bool {
        self.newest
            .is_none_or(|newest| newest.nearest(xid) >= newest)
    }

    /// Whether a part of the table was copied when the transaction was visible.
    pub(crate) fn has_seen(&self, table: &TableName, xid: u32) -> bool {
        match self.tables.get(table) {
            Some(TableCover::Whole(view)) => view.saw(xid),
            Some(TableCover::ByKey { ranges, .. }) => ranges.iter().any(|r| r.view.saw(xid)),
            Some(TableCover::NotCopied) | None => false,
        }
    }

    fn cover_of(&self, table: &TableName) -> Result<&TableCover, CoverError> {
        match self.tables.get(table) {
            Some(cover) => Ok(cover),
            None if self.apply_unlisted => Ok(&TableCover::NotCopied),
            None => Err(CoverError {
                table: table.clone(),
                why: "its copy is not recorded".into(),
                hint: "copy the table, or say that it is not copied",
            }),
        }
    }

    /// What of a change is to be applied; `None` when the copy holds it.
    pub(crate) fn decide(
        &self,
        relation: &Relation,
        xid: u32,
        change: RowChange,
    ) -> Result<Option<RowChange>, CoverError> {
        match self.cover_of(&relation.name)? {
            TableCover::NotCopied => Ok(Some(change)),
            TableCover::Whole(view) => Ok((!view.saw(xid)).then_some(change)),
            TableCover::ByKey { column, ranges } => Ranged {
                relation,
                column,
                ranges,
                xid,
            }
            .decide(change),
        }
    }

    /// What of a truncated table is to be emptied.
    pub(crate) fn decide_truncate(
        &self,
        table: &TableName,
        xid: u32,
    ) -> Result<TruncateScope, CoverError> {
        Ok(match self.cover_of(table)? {
            TableCover::Whole(view) if view.saw(xid) => TruncateScope::Nothing,
            TableCover::Whole(_) | TableCover::NotCopied => TruncateScope::Table,
            TableCover::ByKey { column, ranges } => {
                let unseen: Vec<_> = ranges
                    .iter()
                    .filter(|range| !range.view.saw(xid))
                    .map(|range| (range.lower, range.upper))
                    .collect();
                match unseen.len() {
                    0 => TruncateScope::Nothing,
                    some if some == ranges.len() => TruncateScope::Table,
                    _ => TruncateScope::Ranges {
                        column: column.clone(),
                        ranges: unseen,
                    },
                }
            }
        })
    }
}

struct Ranged<'a> {
    relation: &'a Relation,
    column: &'a str,
    ranges: &'a [KeyRange],
    xid: u32,
}

impl Ranged<'_> {
    fn decide(&self, change: RowChange) -> Result<Option<RowChange>, CoverError> {
        let index = self.index()?;
        match change {
            RowChange::Insert(new) => {
                Ok((!self.seen(index, &new)?).then_some(RowChange::Insert(new)))
            }
            RowChange::Delete(old) => {
                self.must_be_sent(index, &old)?;
                Ok((!self.seen(index, old.row())?).then_some(RowChange::Delete(old)))
            }
            RowChange::Update { old, new } => self.decide_update(index, old, new),
        }
    }

    fn decide_update(
        &self,
        index: usize,
        old: Option<OldRow>,
        new: Row,
    ) -> Result<Option<RowChange>, CoverError> {
        let Some(old) = old else {
            let seen = self.seen(index, &new)?;
            return Ok((!seen).then_some(RowChange::Update { old: None, new }));
        };
        self.must_be_sent(index, &old)?;
        let before = self.seen(index, old.row())?;
        let whole = match &old {
            OldRow::Full(row) => new.over(row),
            OldRow::Key(_) if new.value(index) == Value::Unchanged => {
                // The key was sent apart because it is out of line; it did not change.
                return Ok((!before).then_some(RowChange::Update {
                    old: Some(old),
                    new,
                }));
            }
            OldRow::Key(_) => new.clone(),
        };
        Ok(match (before, self.seen(index, &whole)?) {
            (true, true) => None,
            (false, false) => Some(RowChange::Update {
                old: Some(old),
                new,
            }),
            // The range it came from has it no more, the one it went to not yet.
            (true, false) if whole.has_unchanged() => {
                return Err(self.error(
                    "a row moved between key ranges and one of its large values was not sent",
                    "give the table REPLICA IDENTITY FULL on the source and copy it again",
                ));
            }
            (true, false) => Some(RowChange::Insert(whole)),
            (false, true) => Some(RowChange::Delete(old)),
        })
    }

    fn seen(&self, index: usize, row: &Row) -> Result<bool, CoverError> {
        let Value::Text(text) = row.value(index) else {
            return Err(self.error("its key has no value", COPY_AGAIN));
        };
        let key = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<i64>().ok());
        let Some(key) = key else {
            return Err(self.error("its key is not an integer", COPY_AGAIN));
        };
        match self.ranges.iter().find(|range| range.holds(key)) {
            Some(range) => Ok(range.view.saw(self.xid)),
            None => Err(self.error("its key lies in no copied range", COPY_AGAIN)),
        }
    }

    fn index(&self) -> Result<usize, CoverError> {
        let found = self
            .relation
            .columns
            .iter()
            .position(|column| column.name == self.column);
        found.ok_or_else(|| self.error("the stream does not send its key column", COPY_AGAIN))
    }

    fn must_be_sent(&self, index: usize, old: &OldRow) -> Result<(), CoverError> {
        match old {
            OldRow::Key(_) if !self.relation.columns[index].key => Err(self.error(
                "the column it was cut by does not belong to the replica identity",
                COPY_AGAIN,
            )),
            OldRow::Key(_) | OldRow::Full(_) => Ok(()),
        }
    }

    fn error(&self, why: &str, hint: &'static str) -> CoverError {
        CoverError {
            table: self.relation.name.clone(),
            why: format!("{why} (column {})", self.column),
            hint,
        }
    }
}

const COPY_AGAIN: &str = "copy the table again, as a whole";

#[cfg(test)]
#[path = "cover_tests.rs"]
mod tests;
