//! What tells the rows of one target table apart while a batch is folded: the texts of the
//! key's columns, read where they lie. Nothing is copied, because every row of a batch is
//! looked up; and nothing is hashed twice, because a map that grows would read them all
//! again.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use trunkline_changes::{Row, Value};

use crate::route::{KeyColumn, Route};

/// A map by the keys of rows.
pub(crate) type ByKey<'a, T> = HashMap<RowKey<'a>, T, BuildHasherDefault<Known>>;

/// The key of a row. Two are equal if and only if their texts are the same, column by column
/// in the target's order; by which route the rows came does not matter.
#[derive(Clone, Copy)]
pub(crate) struct RowKey<'a> {
    hash: u64,
    columns: &'a [KeyColumn],
    row: &'a Row,
    before: &'a Row,
}

impl<'a> RowKey<'a> {
    /// The key of a row, whose unchanged values are those of an older version of it; `None`
    /// when it has none, or a value of it is not known. Keys of one map take one `state`.
    pub(crate) fn of(
        route: &'a Route,
        row: &'a Row,
        before: &'a Row,
        state: &RandomState,
    ) -> Option<Self> {
        let mut key = RowKey {
            hash: 0,
            columns: route.key()?,
            row,
            before,
        };
        let mut hasher = state.build_hasher();
        for value in key.values() {
            match value {
                Value::Text(text) => text.hash(&mut hasher),
                // No text is as long as this.
                Value::Null => usize::MAX.hash(&mut hasher),
                Value::Unchanged => return None,
            }
        }
        key.hash = hasher.finish();
        Some(key)
    }

    fn values(self) -> impl ExactSizeIterator<Item = Value<'a>> {
        self.columns
            .iter()
            .map(move |column| match self.row.value(column.source) {
                Value::Unchanged if column.source < self.before.len() => {
                    self.before.value(column.source)
                }
                sent => sent,
            })
    }
}

impl PartialEq for RowKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.values().eq(other.values())
    }
}

impl Eq for RowKey<'_> {}

impl Hash for RowKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Gives back the hash that a key brings along.
#[derive(Default)]
pub(crate) struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only keys of rows come here, and they are one number.
        debug_assert!(bytes.is_empty(), "a key's hash is known");
    }
}
