//! What a statement's text depends on: what it does, which columns it sets, and how its
//! row is found. Rows of one shape share one text, and can go as one set.

use trunkline_changes::{OldRow, Row, Value};

use crate::batch::RowChange;
use crate::route::{Lookup, Route};
use crate::table::{TargetColumn, Written};

/// A set of a relation's columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct ColumnSet {
    /// The first 64, which is all of most tables.
    first: u64,
    /// `None` rather than empty: to compare two empty slices costs a tenth of a microsecond where
    /// the C library reads through a mask from an address that is none (glibc's `memcmp` by
    /// AVX-512), and there are three for each row.
    rest: Option<Box<[u64]>>,
}

impl ColumnSet {
    pub(crate) fn select(count: usize, holds: impl Fn(usize) -> bool) -> Self {
        let (mut first, mut rest) = (0, vec![0; count.div_ceil(64).saturating_sub(1)]);
        for column in (0..count).filter(|&column| holds(column)) {
            let word = match column / 64 {
                0 => &mut first,
                further => &mut rest[further - 1],
            };
            *word |= 1 << (column % 64);
        }
        ColumnSet {
            first,
            rest: (!rest.is_empty()).then(|| rest.into()),
        }
    }

    pub(crate) fn holds(&self, column: usize) -> bool {
        let word = match column / 64 {
            0 => self.first,
            further => {
                let rest = self.rest.as_deref().unwrap_or_default();
                rest.get(further - 1).copied().unwrap_or(0)
            }
        };
        word >> (column % 64) & 1 == 1
    }
}

/// What a statement does with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Insert,
    Update,
    /// A delete and an overriding insert in one statement: an update that may change a
    /// GENERATED ALWAYS identity column, which UPDATE cannot.
    Replace,
    Delete,
}

/// All that a statement's text depends on, beside its route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) verb: Verb,
    /// Update and replace: the columns with a new value.
    pub(crate) sent: ColumnSet,
    /// Without a key: the columns of the old row that are NULL, and those not sent.
    pub(crate) old_nulls: ColumnSet,
    pub(crate) old_unsent: ColumnSet,
}

impl Shape {
    pub(crate) fn insert() -> Self {
        Shape::of(Verb::Insert, ColumnSet::default())
    }

    pub(crate) fn delete_by_key() -> Self {
        Shape::of(Verb::Delete, ColumnSet::default())
    }

    fn of(verb: Verb, sent: ColumnSet) -> Self {
        Shape {
            verb,
            sent,
            old_nulls: ColumnSet::default(),
            old_unsent: ColumnSet::default(),
        }
    }

    /// An update of a row whose key stays as it is.
    pub(crate) fn update_by_key(route: &Route, values: &Row) -> Self {
        let sent = ColumnSet::select(values.len(), |column| {
            values.value(column) != Value::Unchanged
                && route.written(column) != Written::Never
                && !route.is_key(column)
        });
        Shape::of(Verb::Update, sent).settable(route)
    }

    /// The shape of a change that is done by itself; `None` when the stream did not send
    /// what it needs.
    pub(crate) fn of_change(route: &Route, change: &RowChange) -> Option<Self> {
        let shape = match change {
            RowChange::Insert(new) => return (!new.has_unchanged()).then(Shape::insert),
            RowChange::Delete(_) => Shape::delete_by_key(),
            RowChange::Update { old, new } => of_update(route, old.as_ref(), new),
        };
        match &route.lookup {
            Lookup::Key(_) => Some(shape),
            Lookup::WholeRow => match change {
                RowChange::Update {
                    old: Some(OldRow::Full(old)),
                    ..
                }
                | RowChange::Delete(OldRow::Full(old)) => Some(shape.found_by(old)),
                _ => None,
            },
            Lookup::Never => None,
        }
    }

    /// The same as a replacement.
    pub(crate) fn replaced(mut self) -> Self {
        self.verb = Verb::Replace;
        self
    }

    fn found_by(mut self, old: &Row) -> Self {
        self.old_nulls = ColumnSet::select(old.len(), |column| old.value(column) == Value::Null);
        self.old_unsent =
            ColumnSet::select(old.len(), |column| old.value(column) == Value::Unchanged);
        self
    }

    /// An UPDATE needs a column that it may set.
    fn settable(self, route: &Route) -> Self {
        let settable = |column: &TargetColumn| column.written == Written::Freely;
        if route.target.columns.iter().any(settable) {
            self
        } else {
            self.replaced()
        }
    }
}

fn of_update(route: &Route, old: Option<&OldRow>, new: &Row) -> Shape {
    let old_row = old.map(OldRow::row);
    let full = matches!(old, Some(OldRow::Full(_)));
    // Known to be what it was: such columns are left alone where UPDATE cannot set them.
    let same = |column: usize| match old_row {
        Some(old) if full || route.is_key(column) => {
            new.value(column) == Value::Unchanged || new.value(column) == old.value(column)
        }
        Some(_) => false,
        None => route.is_key(column),
    };
    let apart = |column: usize| route.is_key(column) || route.written(column) == Written::ByInsert;
    let sent = ColumnSet::select(new.len(), |column| {
        new.value(column) != Value::Unchanged
            && route.written(column) != Written::Never
            && !(apart(column) && same(column))
    });
    let beyond_update = (0..new.len()).any(|column| {
        sent.holds(column)
            && route.written(column) == Written::ByInsert
            && (full || route.is_key(column))
    });
    let shape = Shape::of(Verb::Update, sent);
    if beyond_update {
        shape.replaced()
    } else {
        shape.settable(route)
    }
}
