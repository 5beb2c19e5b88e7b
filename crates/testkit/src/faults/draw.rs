//! What the seed decides, and what came up before: a change that was seldom planted goes first.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::changes::{Change, changes};
use super::tables::Column;

/// Changes that leave a value nearly what it was, so that some way of comparing takes both for
/// the same. Of changes that came up equally often, these go first.
pub const SUBTLE: &[&str] = &[
    "24 hours for 1 day",
    "30 days for 1 month",
    "a bound that is included",
    "a trailing space of bpchar",
    "a trailing space of text",
    "a trailing space of varchar",
    "a weight of tsvector",
    "a zone with the same instant",
    "another case of citext",
    "another netmask",
    "one microsecond",
    "other bounds of an array",
    "the order of keys in json",
    "the scale of a number in json",
    "the scale of numeric",
    "the sign of zero",
    "the sign of zero in a shape",
    "whitespace in json",
];

/// Draws of one planter.
#[derive(Debug)]
pub(super) struct Draw {
    pub(super) rng: Rng,
    /// How often a change was planted in values of a type.
    planted: BTreeMap<(String, &'static str), usize>,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Draw {
            rng: Rng::with_seed(seed),
            planted: BTreeMap::new(),
        }
    }

    /// The changes of a value in the order to try them.
    pub(super) fn changes(&mut self, column: &Column, old: Option<&str>) -> Vec<Change> {
        let mut all = changes(column, old, &mut self.rng);
        let type_name = &column.type_name;
        let turn = |change: &Change| {
            let times = self.planted.get(&(type_name.clone(), change.what));
            let is_plain = !SUBTLE.contains(&change.what);
            (times.copied().unwrap_or(0), is_plain)
        };
        all.sort_by_key(turn);
        all
    }

    /// Remembers a change that was planted.
    pub(super) fn note(&mut self, column: &Column, what: &'static str) {
        let times = self.planted.entry((column.type_name.clone(), what));
        *times.or_default() += 1;
    }
}
