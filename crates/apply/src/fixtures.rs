//! Rows and entries for the tests of this crate's pure parts.

use std::sync::Arc;

use trunkline_changes::{Lsn, OldRow, Row, Transaction, Value};

use crate::batch::{Action, Entry, RowChange};
use crate::route::Route;
pub(crate) use crate::sample::{column, route, table};

/// `-` is NULL, `?` is not sent.
pub(crate) fn row<'a>(values: impl IntoIterator<Item = &'a str>) -> Row {
    let value = |text: &'a str| match text {
        "-" => Value::Null,
        "?" => Value::Unchanged,
        text => Value::Text(text.as_bytes()),
    };
    values.into_iter().map(value).collect()
}

pub(crate) fn insert(values: &[&str]) -> RowChange {
    RowChange::Insert(row(values.iter().copied()))
}

pub(crate) fn update(old: Option<OldRow>, values: &[&str]) -> RowChange {
    RowChange::Update {
        old,
        new: row(values.iter().copied()),
    }
}

pub(crate) fn key(values: &[&str]) -> OldRow {
    OldRow::Key(row(values.iter().copied()))
}

pub(crate) fn full(values: &[&str]) -> OldRow {
    OldRow::Full(row(values.iter().copied()))
}

pub(crate) fn entry(route: &Arc<Route>, change: RowChange) -> Entry {
    Entry {
        transaction: Transaction {
            xid: 7,
            commit_lsn: Lsn::new(1),
            committed_at_micros: 0,
        },
        action: Action::Row {
            route: Arc::clone(route),
            change,
        },
    }
}
