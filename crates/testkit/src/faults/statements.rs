//! Statements that plant: values as literals of unknown type, so that the column's own input
//! function reads them.

use fastrand::Rng;

use super::changes::{Change, To};
use super::planting::tried;
use super::tables::{Column, Table};

/// What another row has in the column.
pub(super) fn others_value(table: &Table, at: usize, ctid: &str, rng: &mut Rng) -> Option<Change> {
    let others: Vec<String> = tried(table)
        .into_iter()
        .filter(|other| other != ctid)
        .collect();
    let other = rng.choice(others)?;
    let (column, quoted) = (&table.columns[at].quoted, &table.quoted);
    Some(Change {
        what: "another row's value",
        to: To::Sql(format!(
            "(SELECT o.{column} FROM ONLY {quoted} AS o WHERE o.ctid = '{other}')"
        )),
    })
}

/// An INSERT of a row's copy, with one column set to something else.
pub(super) fn insert_copy(table: &Table, ctid: &str, instead: Option<(&Column, &str)>) -> String {
    let (written, quoted) = (table.written_columns(), &table.quoted);
    if written.is_empty() {
        return format!("INSERT INTO {quoted} DEFAULT VALUES");
    }
    let value = |column: &&Column| match instead {
        Some((other, new)) if other.name == column.name => new.to_owned(),
        _ => format!("t.{}", column.quoted),
    };
    let values: Vec<String> = written.iter().map(value).collect();
    let names: Vec<&str> = written
        .iter()
        .map(|column| column.quoted.as_str())
        .collect();
    format!(
        "INSERT INTO {quoted} ({names}) OVERRIDING SYSTEM VALUE \
         SELECT {values} FROM ONLY {quoted} AS t WHERE t.ctid = '{ctid}'",
        names = names.join(", "),
        values = values.join(", "),
    )
}

pub(super) fn expression(change: &Change, column: &Column) -> String {
    match &change.to {
        To::Null => "NULL".to_owned(),
        To::Text(text) => literal(Some(text)),
        To::Sql(expression) => expression.replace("{c}", &format!("t.{}", column.quoted)),
    }
}

/// A value for a column of any type, as its text.
pub(super) fn literal(value: Option<&str>) -> String {
    value.map_or_else(
        || "NULL".to_owned(),
        |text| format!("'{}'", text.replace('\'', "''")),
    )
}
