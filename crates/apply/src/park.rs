//! A change put aside, with everything that is needed to look at it later.

use std::borrow::Cow;

use trunkline_changes::{OldRow, Row};
use trunkline_postgres::{PgError, ToParam};

use crate::batch::{Action, Entry, RowChange};
use crate::conflict::{Conflict, Trouble};
use crate::encode::json_object;
use crate::plan::{Body, Statement};
use crate::route::Route;

const PARK_SQL: &str = include_str!("../sql/park.sql");

/// The statement that puts a change into `trunkline.parked`.
pub(crate) fn statement(migration: &str, entry: &Entry, conflict: &Conflict) -> Statement<'static> {
    let (old, new) = rows(entry);
    let sqlstate = match &conflict.trouble {
        Trouble::Refused(PgError::Server(error)) => Some(error.code.as_str().to_owned()),
        _ => None,
    };
    let params: [&dyn ToParam; 14] = [
        &migration,
        &conflict.transaction.commit_lsn,
        &conflict.transaction.xid,
        &conflict.transaction.committed_at_micros,
        &conflict.source.schema,
        &conflict.source.name,
        &conflict.target.schema,
        &conflict.target.name,
        &conflict.operation.keyword(),
        &conflict.key,
        &old,
        &new,
        &conflict.trouble.to_string(),
        &sqlstate,
    ];
    let owned = params.iter().map(|param| {
        let text = param.to_param()?;
        Some(Cow::Owned(text.into_owned()))
    });
    Statement {
        sql: PARK_SQL.into(),
        body: Body::Params(owned.collect()),
        expect: Some(1),
    }
}

/// The old and the new row as JSON.
fn rows(entry: &Entry) -> (Option<String>, Option<String>) {
    let Action::Row { route, change } = &entry.action else {
        return (None, None);
    };
    match change {
        RowChange::Insert(new) => (None, Some(json(route, new))),
        RowChange::Update { old, new } => (
            old.as_ref().map(|old| old_json(route, old)),
            Some(json(route, new)),
        ),
        RowChange::Delete(old) => (Some(old_json(route, old)), None),
    }
}

/// What stays behind is not written down here either.
fn json(route: &Route, row: &Row) -> String {
    let names = route
        .relation
        .columns
        .iter()
        .map(|column| column.name.as_str());
    let values = names.zip(row.values()).enumerate();
    let taken = values.filter(|(source, _)| !route.leaves_out(*source));
    json_object(taken.map(|(_, value)| value))
}

/// Of a row that is known by its key only, the key.
fn old_json(route: &Route, old: &OldRow) -> String {
    let OldRow::Key(row) = old else {
        return json(route, old.row());
    };
    let columns = &route.relation.columns;
    let key = columns
        .iter()
        .zip(row.values())
        .filter(|(column, _)| column.key);
    json_object(key.map(|(column, value)| (column.name.as_str(), value)))
}
