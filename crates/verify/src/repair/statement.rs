//! The statements that mend a row at its place. Values are parameters of the column's type, so
//! that the type's own input function reads them; one text serves all rows of a shape.

use std::fmt::Write as _;

use super::item::Item;
use super::rows::Text;

/// A statement that must touch exactly one row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Its text.
    pub(crate) sql: String,
    /// Its parameters.
    pub(crate) params: Vec<Text>,
    /// The number of the item that it mends.
    pub(crate) owner: usize,
    /// What it means when no row was there to touch.
    pub(crate) verb: Verb,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Changes a row at its place.
    AtPlace,
    /// Adds one.
    Insert,
}

impl Statement {
    /// What it takes in memory, nearly.
    pub(crate) fn bytes(&self) -> usize {
        let values = self.params.iter().flatten().map(Vec::len).sum::<usize>();
        self.sql.len() + values
    }
}

/// Deletes the row at its place.
pub(crate) fn delete(item: &Item<'_>, owner: usize) -> Statement {
    let mut params = Vec::new();
    let found = at_place(item, &mut params);
    Statement {
        sql: format!("DELETE FROM ONLY {} AS t WHERE {found}", relation(item)),
        params,
        owner,
        verb: Verb::AtPlace,
    }
}

/// Sets columns of the row at its place.
pub(crate) fn update(
    item: &Item<'_>,
    owner: usize,
    columns: &[usize],
    values: Vec<Text>,
) -> Statement {
    let mut params = values;
    let set: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, &column)| {
            format!(
                "{} = {}",
                item.table.ident(column),
                param(item, index, column)
            )
        })
        .collect();
    let found = at_place(item, &mut params);
    Statement {
        sql: format!(
            "UPDATE ONLY {} AS t SET {} WHERE {found}",
            relation(item),
            set.join(", ")
        ),
        params,
        owner,
        verb: Verb::AtPlace,
    }
}

/// Inserts a row; a partitioned table finds its partition.
pub(crate) fn insert(
    item: &Item<'_>,
    owner: usize,
    columns: &[usize],
    values: Vec<Text>,
) -> Statement {
    let table = item.table.target.quoted();
    let names: Vec<String> = columns.iter().map(|&c| item.table.ident(c)).collect();
    let list: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, &column)| param(item, index, column))
        .collect();
    let sql = if columns.is_empty() {
        format!("INSERT INTO {table} DEFAULT VALUES")
    } else {
        format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            names.join(", "),
            list.join(", ")
        )
    };
    Statement {
        sql,
        params: values,
        owner,
        verb: Verb::Insert,
    }
}

fn relation(item: &Item<'_>) -> String {
    let spot = item.target.as_ref().expect("the target has this row");
    spot.relation.name.quoted()
}

fn param(item: &Item<'_>, index: usize, column: usize) -> String {
    format!("${}::{}", index + 1, item.table.columns[column].type_name)
}

/// The row's place, and its key as far as that can be compared: a place that was given to
/// another row meanwhile is not this row's.
fn at_place(item: &Item<'_>, params: &mut Vec<Text>) -> String {
    let spot = item.target.as_ref().expect("the target has this row");
    params.push(Some(spot.ctid.clone().into_bytes()));
    let mut found = format!("t.ctid = ${}::tid", params.len());
    for key in &item.difference.key {
        let column = item.table.column(&key.column);
        let (Some(column), Some(value)) = (column, &key.value) else {
            continue;
        };
        let Some(equality) = &item.table.columns[column].equality else {
            continue;
        };
        params.push(Some(value.clone().into_bytes()));
        let value = param(item, params.len() - 1, column);
        let name = item.table.ident(column);
        // Writing to a String cannot fail.
        let _written = write!(found, " AND t.{name} {equality} {value}");
    }
    found
}
