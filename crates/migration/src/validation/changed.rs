//! Keys of rows that the stream has changed since they were compared. Holds always: memory
//! is bounded; what does not fit marks its table to be read again as a whole, so nothing is
//! forgotten.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use smol_str::SmolStr;
use trunkline_changes::{Change, OldRow, Relation, Row, TableName, Value};

use crate::limits::{CHANGED_KEYS, CHANGED_TABLES_SEEN, VALIDATED_KEYS_AT_ONCE};

/// Key columns' values, as text.
pub(crate) type Key = Vec<String>;

/// What changed, by the tables that changes come from.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tables: HashMap<TableName, OfTable>,
    /// Tables that have keys, each once.
    waiting: VecDeque<TableName>,
    /// Whose turn it is.
    fullest_next: bool,
    held: usize,
}

#[derive(Debug, Default)]
struct OfTable {
    /// Empty: its rows cannot be named.
    key: Vec<SmolStr>,
    keys: HashSet<Key>,
    /// Whether it waits.
    waits: bool,
    /// Rows changed that are not among the keys.
    whole: bool,
}

impl OfTable {
    fn wait_in(&mut self, waiting: &mut VecDeque<TableName>, name: &TableName) {
        if !self.waits && !self.keys.is_empty() {
            self.waits = true;
            waiting.push_back(name.clone());
        }
    }
}

impl Changed {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a table's changes from now on. What is known of it stays.
    pub(crate) fn watch(&self, table: &TableName, key: Vec<SmolStr>) {
        let mut inner = self.lock();
        let known = inner.tables.entry(table.clone()).or_default();
        if known.key != key {
            known.whole |= !known.keys.is_empty();
            let dropped = std::mem::take(&mut known.keys).len();
            known.key = key;
            inner.held -= dropped;
        }
    }

    /// Everything of a table may have changed: nobody looked for a while.
    pub(crate) fn whole_again(&self, table: &TableName) {
        if let Some(table) = self.lock().tables.get_mut(table) {
            table.whole = true;
        }
    }

    /// Notes a change of the stream.
    pub(crate) fn note(&self, change: &Change) {
        match change {
            Change::Insert { relation, new } => self.note_rows(relation, &[Some(new)]),
            Change::Update { relation, old, new } => {
                let old = old.as_ref().map(OldRow::row);
                self.note_rows(relation, &[old, Some(new)]);
            }
            Change::Delete { relation, old } => self.note_rows(relation, &[Some(old.row())]),
            Change::Truncate { relations, .. } => {
                let mut inner = self.lock();
                for relation in relations {
                    if let Some(table) = inner.tables.get_mut(&relation.name) {
                        table.whole = true;
                    }
                }
            }
            Change::Message { .. } => {}
        }
    }

    fn note_rows(&self, relation: &Relation, rows: &[Option<&Row>]) {
        let mut inner = self.lock();
        let Inner {
            tables,
            waiting,
            held,
            ..
        } = &mut *inner;
        let Some(table) = tables.get_mut(&relation.name) else {
            return;
        };
        let places = places(relation, &table.key);
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows.iter().flatten() {
            keys.push(places.as_deref().and_then(|places| key(row, places)));
        }
        // Of an update whose old key was not sent, the new row's key is the same.
        if keys.iter().all(Option::is_none) {
            table.whole = true;
        }
        for key in keys.into_iter().flatten() {
            if *held >= CHANGED_KEYS {
                table.whole = true;
            } else if table.keys.insert(key) {
                *held += 1;
            }
        }
        table.wait_in(waiting, &relation.name);
    }

    /// Some keys of one table, to be compared: by turns of the table that waits longest, and of
    /// the one with the most of those that wait long.
    pub(crate) fn take(&self) -> Option<(TableName, Vec<Key>)> {
        let mut inner = self.lock();
        let Inner {
            tables,
            waiting,
            fullest_next,
            held,
        } = &mut *inner;
        *fullest_next = !*fullest_next;
        let seen = if *fullest_next {
            1
        } else {
            CHANGED_TABLES_SEEN
        };
        let (name, of) = loop {
            let held = |name: &TableName| tables.get(name).map_or(0, |of| of.keys.len());
            let near = waiting.iter().take(seen).enumerate();
            let (place, _) = near.min_by_key(|(_, name)| Reverse(held(name)))?;
            let name = waiting.remove(place)?;
            let Some(of) = tables.get_mut(&name) else {
                continue;
            };
            of.waits = false;
            if !of.keys.is_empty() {
                break (name, of);
            }
        };
        let some: Vec<Key> = of
            .keys
            .iter()
            .take(VALIDATED_KEYS_AT_ONCE)
            .cloned()
            .collect();
        for key in &some {
            of.keys.remove(key);
        }
        *held -= some.len();
        of.wait_in(waiting, &name);
        Some((name, some))
    }

    /// Gives keys back that were not compared to the end.
    pub(crate) fn put_back(&self, table: &TableName, keys: Vec<Key>) {
        let mut inner = self.lock();
        let Inner {
            tables,
            waiting,
            held,
            ..
        } = &mut *inner;
        if let Some(of) = tables.get_mut(table) {
            for key in keys {
                *held += usize::from(of.keys.insert(key));
            }
            of.wait_in(waiting, table);
        }
    }

    /// A table's next reading sees everything that changed before now.
    pub(crate) fn begins_whole(&self, table: &TableName) {
        let mut inner = self.lock();
        if let Some(of) = inner.tables.get_mut(table) {
            of.whole = false;
            let dropped = std::mem::take(&mut of.keys).len();
            inner.held -= dropped;
        }
    }

    /// The tables that are to be read again as a whole.
    pub(crate) fn whole(&self) -> Vec<TableName> {
        let inner = self.lock();
        let whole: BTreeSet<&TableName> = inner
            .tables
            .iter()
            .filter(|(_, of)| of.whole)
            .map(|(name, _)| name)
            .collect();
        whole.into_iter().cloned().collect()
    }
}

/// Where the key's columns stand in a row of the stream.
fn places(relation: &Relation, key: &[SmolStr]) -> Option<Vec<usize>> {
    if key.is_empty() {
        return None;
    }
    key.iter()
        .map(|name| relation.columns.iter().position(|c| c.name == *name))
        .collect()
}

fn key(row: &Row, places: &[usize]) -> Option<Key> {
    places
        .iter()
        .map(|&place| match row.value(place) {
            Value::Text(text) => String::from_utf8(text.to_vec()).ok(),
            Value::Null | Value::Unchanged => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use trunkline_changes::{Column, ReplicaIdentity, RowBuilder};

    fn relation() -> Arc<Relation> {
        let column = |name: &str, key| Column {
            name: name.to_owned(),
            key,
            type_oid: 25,
            type_modifier: -1,
        };
        Arc::new(Relation {
            id: 1,
            name: TableName::new("s", "t"),
            identity: ReplicaIdentity::Default,
            columns: vec![column("note", false), column("id", true)],
        })
    }

    fn insert(id: &str) -> Change {
        let mut row = RowBuilder::with_capacity(2, 8);
        row.push(Value::Null);
        row.push(Value::Text(id.as_bytes()));
        Change::Insert {
            relation: relation(),
            new: row.finish(),
        }
    }

    fn watched(key: &[&str]) -> Changed {
        let changed = Changed::default();
        let key = key.iter().map(|&name| name.into()).collect();
        changed.watch(&TableName::new("s", "t"), key);
        changed
    }

    #[test]
    fn a_row_that_changed_often_is_compared_once() {
        let changed = watched(&["id"]);
        for id in ["7", "7", "8"] {
            changed.note(&insert(id));
        }
        let (table, mut keys) = changed.take().expect("keys");
        keys.sort();
        assert_eq!(table, TableName::new("s", "t"));
        assert_eq!(keys, [["7"], ["8"]]);
        assert_eq!(changed.take(), None);
    }

    #[test]
    fn tables_take_turns() {
        let changed = watched(&["id"]);
        let other = TableName::new("s", "u");
        changed.watch(&other, vec!["id".into()]);
        for id in 0..=VALIDATED_KEYS_AT_ONCE {
            changed.note(&insert(&id.to_string()));
        }
        changed.put_back(&other, vec![vec!["1".to_owned()]]);
        let taken = std::iter::from_fn(|| changed.take());
        let taken: Vec<(String, usize)> = taken
            .map(|(t, keys)| (t.name.to_string(), keys.len()))
            .collect();
        let turn = |name: &str, keys| (name.to_owned(), keys);
        assert_eq!(
            taken,
            [
                turn("t", VALIDATED_KEYS_AT_ONCE),
                turn("u", 1),
                turn("t", 1)
            ]
        );
    }

    #[test]
    fn what_does_not_fit_marks_the_whole_table() {
        let changed = watched(&["id"]);
        for id in 0..=CHANGED_KEYS {
            changed.note(&insert(&id.to_string()));
        }
        assert_eq!(changed.whole(), [TableName::new("s", "t")]);
        changed.begins_whole(&TableName::new("s", "t"));
        assert_eq!(changed.whole(), []);
        changed.note(&insert("1"));
        assert!(changed.take().is_some(), "there is room again");
    }

    #[test]
    fn without_a_key_every_change_marks_the_whole_table() {
        let changed = watched(&[]);
        changed.note(&insert("7"));
        assert_eq!(changed.take(), None);
        assert_eq!(changed.whole().len(), 1);
    }
}
