//! Folds the changes of a batch to one per row. Tables are independent of each other here
//! (the replica role fires no foreign keys), so each table keeps its own order; a TRUNCATE
//! is the only thing that all wait for. Pure.
//!
//! Inside a table the folded rows are written as deletes, then updates, then inserts. The
//! end is the same as the source's as long as every statement finds the rows that it
//! expects; where a unique value was handed from row to row it does not, and the batch is
//! done again one by one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;

use trunkline_changes::Row;

use crate::batch::{Action, Entry, RowChange};
use crate::route::Route;
use crate::row_key::{ByKey, RowKey};
use crate::truncate::Truncate;

/// What to do instead of the entries, in order.
#[derive(Debug)]
pub(crate) enum Stage<'a> {
    /// These tables, in any order.
    Tables(Vec<TableStages<'a>>),
    /// A TRUNCATE.
    Truncate(&'a Truncate),
}

/// One target table's share, in order.
pub(crate) type TableStages<'a> = Vec<TableStage<'a>>;

/// A part of one table's changes.
#[derive(Debug)]
pub(crate) enum TableStage<'a> {
    /// One change per row, every row another one.
    Rows(Vec<FoldedRow<'a>>),
    /// A change that must be done by itself, in its place.
    Single(&'a Route, &'a RowChange),
}

/// What became of one row.
#[derive(Debug)]
pub(crate) struct FoldedRow<'a> {
    /// The row as it is on the target (its key at least), if it is to be deleted there.
    pub(crate) removed: Option<(&'a Route, &'a Row)>,
    pub(crate) now: Now<'a>,
}

/// What is to be written of a row.
#[derive(Debug)]
pub(crate) enum Now<'a> {
    /// Nothing.
    Absent,
    /// A new row.
    Inserted(&'a Route, Cow<'a, Row>),
    /// New values of a row whose key stays.
    Updated {
        route: &'a Route,
        /// Where the key is read from.
        key: &'a Row,
        values: Cow<'a, Row>,
    },
}

/// The changes do not follow from each other; they are done one by one, which shows where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotFoldable;

/// Folds a batch.
pub(crate) fn fold(entries: &[Entry]) -> Result<Vec<Stage<'_>>, NotFoldable> {
    let mut stages = Vec::new();
    let mut tables = Tables::default();
    for entry in entries {
        match &entry.action {
            Action::Row { route, change } => tables.take(route, change)?,
            Action::Truncate(truncate) => {
                stages.push(Stage::Tables(tables.finish()));
                stages.push(Stage::Truncate(truncate));
            }
        }
    }
    stages.push(Stage::Tables(tables.finish()));
    Ok(stages)
}

#[derive(Default)]
struct Tables<'a> {
    by_oid: HashMap<u32, usize>,
    folders: Vec<Folder<'a>>,
}

impl<'a> Tables<'a> {
    fn take(&mut self, route: &'a Arc<Route>, change: &'a RowChange) -> Result<(), NotFoldable> {
        if route.target.fires {
            return Err(NotFoldable);
        }
        // A row that an update brought into a publication's filter: what did not change was
        // not sent, and is not NULL for that.
        if matches!(change, RowChange::Insert(new) if new.has_unchanged()) {
            return Err(NotFoldable);
        }
        let index = *self.by_oid.entry(route.target.oid).or_insert_with(|| {
            self.folders.push(Folder::new(route));
            self.folders.len() - 1
        });
        self.folders[index].take(route, change)
    }

    fn finish(&mut self) -> Vec<TableStages<'a>> {
        self.by_oid.clear();
        self.folders.drain(..).map(Folder::finish).collect()
    }
}

/// Folds one target table.
struct Folder<'a> {
    /// The route of the first change: all others find rows as it does.
    route: &'a Route,
    stages: TableStages<'a>,
    rows: Vec<FoldedRow<'a>>,
    by_key: ByKey<'a, usize>,
    state: RandomState,
}

/// The newer version of a row with its unchanged values from an older one.
fn over<'a>(newer: &'a Row, older: &Row) -> Cow<'a, Row> {
    if newer.has_unchanged() {
        Cow::Owned(newer.over(older))
    } else {
        Cow::Borrowed(newer)
    }
}

impl<'a> Folder<'a> {
    fn new(route: &'a Route) -> Self {
        Folder {
            route,
            stages: Vec::new(),
            rows: Vec::new(),
            by_key: ByKey::default(),
            state: RandomState::new(),
        }
    }

    fn take(&mut self, route: &'a Route, change: &'a RowChange) -> Result<(), NotFoldable> {
        if !route.has_key_of(self.route) {
            return Err(NotFoldable);
        }
        if route.key().is_none() {
            self.take_without_key(route, change);
            return Ok(());
        }
        match change {
            RowChange::Insert(new) => {
                let key = self.key(route, new, new)?;
                self.insert(route, key, Cow::Borrowed(new))
            }
            RowChange::Delete(old) => {
                let key = self.key(route, old.row(), old.row())?;
                self.delete(route, key, old.row())
            }
            RowChange::Update { old, new } => {
                let before = old.as_ref().map_or(new, |old| old.row());
                let key = self.key(route, before, before)?;
                let new_key = match old {
                    Some(_) => self.key(route, new, before)?,
                    None => key,
                };
                if key == new_key {
                    self.update(route, key, new, before)
                } else {
                    self.move_row(route, (key, new_key), change, new, before)
                }
            }
        }
    }

    fn key(
        &self,
        route: &'a Route,
        row: &'a Row,
        before: &'a Row,
    ) -> Result<RowKey<'a>, NotFoldable> {
        RowKey::of(route, row, before, &self.state).ok_or(NotFoldable)
    }

    /// Inserts gather; anything else waits for them and is done by itself.
    fn take_without_key(&mut self, route: &'a Route, change: &'a RowChange) {
        if let RowChange::Insert(new) = change {
            self.rows.push(FoldedRow {
                removed: None,
                now: Now::Inserted(route, Cow::Borrowed(new)),
            });
        } else {
            self.single(route, change);
        }
    }

    fn single(&mut self, route: &'a Route, change: &'a RowChange) {
        self.close();
        self.stages.push(TableStage::Single(route, change));
    }

    fn close(&mut self) {
        self.by_key.clear();
        if !self.rows.is_empty() {
            self.stages
                .push(TableStage::Rows(std::mem::take(&mut self.rows)));
        }
    }

    fn finish(mut self) -> TableStages<'a> {
        self.close();
        self.stages
    }

    fn row(&mut self, key: RowKey<'a>) -> Option<&mut FoldedRow<'a>> {
        let index = *self.by_key.get(&key)?;
        self.rows.get_mut(index)
    }

    fn add(&mut self, key: RowKey<'a>, row: FoldedRow<'a>) {
        self.by_key.insert(key, self.rows.len());
        self.rows.push(row);
    }

    fn insert(
        &mut self,
        route: &'a Route,
        key: RowKey<'a>,
        new: Cow<'a, Row>,
    ) -> Result<(), NotFoldable> {
        if new.has_unchanged() {
            return Err(NotFoldable);
        }
        let now = Now::Inserted(route, new);
        match self.row(key) {
            None => self.add(key, FoldedRow { removed: None, now }),
            Some(row) if matches!(row.now, Now::Absent) => row.now = now,
            Some(_) => return Err(NotFoldable),
        }
        Ok(())
    }

    fn delete(
        &mut self,
        route: &'a Route,
        key: RowKey<'a>,
        old: &'a Row,
    ) -> Result<(), NotFoldable> {
        let removed = Some((route, old));
        let now = Now::Absent;
        match self.row(key) {
            None => self.add(key, FoldedRow { removed, now }),
            Some(row) => match row.now {
                Now::Absent => return Err(NotFoldable),
                Now::Inserted(..) => row.now = Now::Absent,
                Now::Updated { .. } => *row = FoldedRow { removed, now },
            },
        }
        Ok(())
    }

    fn update(
        &mut self,
        route: &'a Route,
        key: RowKey<'a>,
        new: &'a Row,
        before: &'a Row,
    ) -> Result<(), NotFoldable> {
        let Some(row) = self.row(key) else {
            let now = Now::Updated {
                route,
                key: before,
                values: Cow::Borrowed(new),
            };
            self.add(key, FoldedRow { removed: None, now });
            return Ok(());
        };
        let (held_route, values) = match &mut row.now {
            Now::Absent => return Err(NotFoldable),
            Now::Inserted(route, values) | Now::Updated { route, values, .. } => (*route, values),
        };
        if !std::ptr::eq::<Route>(held_route, route) {
            return Err(NotFoldable);
        }
        *values = over(new, values);
        Ok(())
    }

    /// An update that changes the key: a delete and an insert where every value is known,
    /// otherwise by itself, in its place.
    fn move_row(
        &mut self,
        route: &'a Route,
        (key, new_key): (RowKey<'a>, RowKey<'a>),
        change: &'a RowChange,
        new: &'a Row,
        before: &'a Row,
    ) -> Result<(), NotFoldable> {
        let full = route.relation.identity == trunkline_changes::ReplicaIdentity::Full;
        let mut values = if full {
            over(new, before)
        } else {
            Cow::Borrowed(new)
        };
        let known = match self.row(key) {
            None => route.sends_all(),
            Some(row) => match &row.now {
                Now::Absent => return Err(NotFoldable),
                Now::Inserted(_, held) => {
                    fill(&mut values, held);
                    true
                }
                Now::Updated { values: held, .. } => {
                    fill(&mut values, held);
                    route.sends_all()
                }
            },
        };
        if !known || values.has_unchanged() {
            self.single(route, change);
            return Ok(());
        }
        self.delete(route, key, before)?;
        self.insert(route, new_key, values)
    }
}

/// Takes values that are not known from an older version of the row.
fn fill(values: &mut Cow<'_, Row>, older: &Row) {
    if values.has_unchanged() {
        *values = Cow::Owned(values.over(older));
    }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
