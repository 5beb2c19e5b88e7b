//! What the stream did to rows around a position, folded to what a copy of that position must
//! hold. Of the changes before it, a key's last one counts, because the copy holds what they
//! left; of those after it the first one, because the copy is from before all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trunkline_changes::{Change, Relation, ReplicaIdentity, Row, TableName, Value};

use crate::limits::PROBED_ROWS;

/// A change of one row, as far as a copy can be asked about it.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    pub(super) relation: Arc<Relation>,
    /// The values of the key columns, in their order.
    pub(super) key: Vec<Vec<u8>>,
    pub(super) kind: Kind,
    /// The transaction, as a row's `xmin` names it.
    pub(super) xid: u32,
}

/// What became of the row.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// It is new.
    Inserted(Row),
    /// It was there before, too.
    Updated(Row),
    /// It is gone.
    Deleted,
}

/// Which side of the position the changes lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Before,
    After,
}

/// A table, and a key of it.
type Place = (TableName, Vec<Vec<u8>>);

/// The changes on one side of the position.
#[derive(Debug)]
pub(super) struct Touched {
    part: Part,
    /// With their place in the order of changes.
    rows: BTreeMap<Place, (u64, Touch)>,
    /// Tables that were emptied after the position: nothing later of them tells anything.
    closed: BTreeSet<TableName>,
    counted: u64,
    /// Changes that a copy cannot be asked about.
    untold: u64,
}

impl Touched {
    pub(super) fn new(part: Part) -> Self {
        Touched {
            part,
            rows: BTreeMap::new(),
            closed: BTreeSet::new(),
            counted: 0,
            untold: 0,
        }
    }

    /// Takes the next change of the stream.
    pub(super) fn take(&mut self, change: Change, xid: u32) {
        match change {
            Change::Insert { relation, new } => match key_of(&relation, &new) {
                Some(key) => self.put(relation, key, Kind::Inserted(new), xid),
                None => self.untold += 1,
            },
            Change::Update { relation, old, new } => {
                let old = old.and_then(|old| key_of(&relation, old.row()));
                let Some(key) = key_of(&relation, &new) else {
                    self.untold += 1;
                    return;
                };
                match old {
                    // The key changed: one row went, another came.
                    Some(old) if old != key => {
                        self.put(Arc::clone(&relation), old, Kind::Deleted, xid);
                        self.put(relation, key, Kind::Inserted(new), xid);
                    }
                    _ => self.put(relation, key, Kind::Updated(new), xid),
                }
            }
            Change::Delete { relation, old } => match key_of(&relation, old.row()) {
                Some(key) => self.put(relation, key, Kind::Deleted, xid),
                None => self.untold += 1,
            },
            Change::Truncate { relations, .. } => {
                for relation in relations {
                    match self.part {
                        Part::Before => self.rows.retain(|(table, _), _| *table != relation.name),
                        Part::After => {
                            self.closed.insert(relation.name.clone());
                        }
                    }
                }
            }
            Change::Message { .. } => {}
        }
    }

    fn put(&mut self, relation: Arc<Relation>, key: Vec<Vec<u8>>, kind: Kind, xid: u32) {
        if self.closed.contains(&relation.name) {
            return;
        }
        self.counted += 1;
        let place = (relation.name.clone(), key.clone());
        let touch = Touch {
            relation,
            key,
            kind,
            xid,
        };
        match self.part {
            Part::After => {
                self.rows.entry(place).or_insert((self.counted, touch));
            }
            Part::Before => {
                self.rows.insert(place, (self.counted, touch));
                if self.rows.len() > PROBED_ROWS {
                    let oldest = self.rows.iter().min_by_key(|(_, (at, _))| *at);
                    let oldest = oldest.map(|(place, _)| place.clone());
                    oldest.and_then(|place| self.rows.remove(&place));
                }
            }
        }
    }

    /// Whether no more of them are needed.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= PROBED_ROWS
    }

    /// Whether there was any change at all.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.untold == 0 && self.closed.is_empty()
    }

    /// Whether it holds a change of the same row.
    pub(super) fn has(&self, touch: &Touch) -> bool {
        let place = (touch.relation.name.clone(), touch.key.clone());
        self.rows.contains_key(&place)
    }

    /// The rows to ask for.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Touch> {
        self.rows.values().map(|(_, touch)| touch)
    }
}

/// The key's values; none where the table has no key of its own columns, or one is missing.
fn key_of(relation: &Relation, row: &Row) -> Option<Vec<Vec<u8>>> {
    if matches!(
        relation.identity,
        ReplicaIdentity::Full | ReplicaIdentity::Nothing
    ) {
        return None;
    }
    let values = relation.key().map(|index| match row.value(index) {
        Value::Text(text) => Some(text.to_vec()),
        Value::Null | Value::Unchanged => None,
    });
    let key: Option<Vec<_>> = values.collect();
    key.filter(|key| !key.is_empty())
}

/// What a copy says of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// There is none with that key.
    Absent,
    /// There is one.
    Present {
        /// Whether all values that were sent are its values.
        same: bool,
        /// The transaction that wrote it.
        xmin: u32,
    },
}

/// What that means for the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is as it must be, and could not be so if the copy were on the other side of the
    /// change.
    Proved,
    /// It says nothing.
    Nothing,
    /// The copy is on the other side of the change.
    Contradicted,
}

/// Judges one row. Whoever wrote a row is known by its `xmin`: physical copies keep it. The
/// numbers of subtransactions are above that of their transaction, and a transaction that
/// ran for long has a low number although it commits late: so a later number alone proves
/// nothing.
pub(super) fn judge(part: Part, touch: &Touch, seen: &Seen) -> Told {
    match part {
        Part::Before => judge_before(touch, seen),
        Part::After => judge_after(touch, seen),
    }
}

/// The copy must hold what the change left.
fn judge_before(touch: &Touch, seen: &Seen) -> Told {
    match (&touch.kind, seen) {
        (Kind::Deleted, Seen::Absent) => Told::Proved,
        (Kind::Deleted, Seen::Present { .. }) | (_, Seen::Absent) => Told::Contradicted,
        (_, Seen::Present { xmin, .. }) if *xmin == touch.xid => Told::Proved,
        (_, Seen::Present { same: false, .. }) => Told::Contradicted,
        (_, Seen::Present { same: true, xmin }) if is_later(*xmin, touch.xid) => Told::Proved,
        // An UPDATE that changed nothing, perhaps.
        (_, Seen::Present { same: true, .. }) => Told::Nothing,
    }
}

/// The copy must hold what the change found.
fn judge_after(touch: &Touch, seen: &Seen) -> Told {
    match (&touch.kind, seen) {
        (Kind::Inserted(_), Seen::Absent) => Told::Proved,
        (Kind::Inserted(_), Seen::Present { .. }) | (_, Seen::Absent) => Told::Contradicted,
        (_, Seen::Present { xmin, .. }) if *xmin == touch.xid => Told::Contradicted,
        (Kind::Updated(_), Seen::Present { same: true, xmin }) => {
            if is_later(*xmin, touch.xid) {
                Told::Contradicted
            } else {
                Told::Nothing
            }
        }
        (_, Seen::Present { xmin, .. }) if is_later(*xmin, touch.xid) => Told::Nothing,
        (_, Seen::Present { .. }) => Told::Proved,
    }
}

/// Whether a transaction's number comes after another's, in numbers that wrap.
fn is_later(number: u32, than: u32) -> bool {
    let distance = number.wrapping_sub(than);
    distance != 0 && distance < 1 << 31
}

#[cfg(test)]
#[path = "touched_tests.rs"]
mod tests;
