//! Lines as a server prints them, for the tests: after `contrib/test_decoding` of PostgreSQL.

use super::StreamedTable;
use super::catalog::{ColumnFacts, TableFacts};
use super::table::Table;
use trunkline_changes::{ReplicaIdentity, TableName};

/// A value as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Datum {
    Null,
    Unchanged,
    Number(String),
    Bool(bool),
    Bits(String),
    Text(String),
}

impl Datum {
    fn printed(&self) -> String {
        match self {
            Datum::Null => "null".to_owned(),
            Datum::Unchanged => "unchanged-toast-datum".to_owned(),
            Datum::Number(number) => number.clone(),
            Datum::Bool(true) => "true".to_owned(),
            Datum::Bool(false) => "false".to_owned(),
            Datum::Bits(bits) => format!("B'{bits}'"),
            Datum::Text(text) => format!("'{}'", text.replace('\'', "''")),
        }
    }

    /// The text of its type's output function.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Datum::Null | Datum::Unchanged => None,
            Datum::Bool(value) => Some(if *value { "t" } else { "f" }.to_owned()),
            Datum::Number(text) | Datum::Bits(text) | Datum::Text(text) => Some(text.clone()),
        }
    }
}

/// As the server's `quote_identifier`, but for keywords.
pub(super) fn identifier(name: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit());
    if begins && name.bytes().all(safe) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

pub(super) fn table_name(name: &TableName) -> String {
    format!("{}.{}", identifier(&name.schema), identifier(&name.name))
}

/// A row, with NULLs left out as in old rows where that is asked for.
pub(super) fn row(columns: &[(String, String)], row: &[Datum], skip_nulls: bool) -> String {
    let mut out = String::new();
    for ((name, column_type), value) in columns.iter().zip(row) {
        if skip_nulls && *value == Datum::Null {
            continue;
        }
        out.push(' ');
        out.push_str(&identifier(name));
        out.push('[');
        out.push_str(column_type);
        out.push_str("]:");
        out.push_str(&value.printed());
    }
    out
}

/// A table whose first columns are its key.
pub(super) fn table(
    name: &TableName,
    columns: &[(String, String)],
    keys: usize,
    identity: ReplicaIdentity,
) -> (Vec<u8>, Table) {
    let streamed = StreamedTable {
        oid: 7,
        name: name.clone(),
        inserts_only: false,
    };
    let facts = TableFacts {
        oid: 7,
        name: name.clone(),
        raw: table_name(name).into_bytes(),
        identity,
        columns: columns
            .iter()
            .enumerate()
            .map(|(index, (name, column_type))| ColumnFacts {
                raw: identifier(name).into_bytes(),
                raw_type: column_type.clone().into_bytes(),
                generated: false,
                key: index < keys || identity == ReplicaIdentity::Full,
                primary: index < keys,
                type_oid: 25,
                type_modifier: -1,
            })
            .collect(),
    };
    let raw = facts.raw.clone();
    let table = Table::new(streamed.oid, streamed.name, false, Some(&facts));
    (raw, table.expect("a table of a few columns"))
}
