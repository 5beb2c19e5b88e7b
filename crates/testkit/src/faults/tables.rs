//! What the catalogs say of the tables that faults are planted in. Read anew for each plant:
//! a table's free rows and what was done to it belong to one transaction.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use super::told_apart::ToldApart;
use crate::cluster::ok;

const TABLES: &str = include_str!("../../sql/faults/tables.sql");
const COLUMNS: &str = include_str!("../../sql/faults/columns.sql");

/// A value as its type's output function writes it, or NULL.
pub(super) type Value = Option<String>;

/// What a type's text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    Array,
    Range,
    Multirange,
    Composite,
    Enum,
    Plain,
}

impl Make {
    fn of(kind: &str) -> Self {
        match kind {
            "array" => Make::Array,
            "r" => Make::Range,
            "m" => Make::Multirange,
            "c" => Make::Composite,
            "e" => Make::Enum,
            _ => Make::Plain,
        }
    }
}

/// A column, by the type below any domain.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) quoted: String,
    pub(super) type_name: String,
    pub(super) make: Make,
    pub(super) labels: Vec<String>,
    pub(super) is_generated: bool,
    /// An UPDATE may set it: neither generated nor an identity that is always the server's.
    pub(super) is_free: bool,
}

/// A table with its own rows.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) quoted: String,
    pub(super) columns: Vec<Column>,
    /// Places in `columns`; empty where nothing tells rows apart.
    pub(super) key: Vec<usize>,
    /// Column lists that must stay unique and that nobody checks.
    pub(super) unchecked: Vec<String>,
    /// Where rows without a fault lie, in an order drawn by the seed; `None` before the first
    /// is asked for.
    pub(super) free: Option<Vec<String>>,
    /// Keys that the source has and the target no longer: a new row must not take them.
    pub(super) gone: BTreeSet<Vec<Value>>,
    pub(super) told_apart: ToldApart,
}

impl Table {
    /// The tables of some schemas, by schema and name.
    pub(super) async fn all(
        client: &Client,
        schemas: &[&str],
    ) -> BTreeMap<(String, String), Table> {
        let mut columns: BTreeMap<(String, String), Vec<Column>> = BTreeMap::new();
        for row in ok("read columns", client.query(COLUMNS, &[&schemas]).await) {
            let kind: String = row.get(5);
            let column = Column {
                name: row.get(2),
                quoted: row.get(3),
                type_name: row.get(4),
                make: Make::of(&kind),
                labels: row.get(6),
                is_generated: row.get(7),
                is_free: row.get(8),
            };
            columns
                .entry((row.get(0), row.get(1)))
                .or_default()
                .push(column);
        }
        let rows = ok("read tables", client.query(TABLES, &[&schemas]).await);
        let table = |row: tokio_postgres::Row| {
            let name: (String, String) = (row.get(0), row.get(1));
            let columns = columns.remove(&name).unwrap_or_default();
            let key: Vec<String> = row.get(3);
            let place = |wanted: &String| {
                let found = columns.iter().position(|column| column.name == *wanted);
                found.expect("a key is of the table's columns")
            };
            let table = Table {
                schema: name.0.clone(),
                name: name.1.clone(),
                quoted: row.get(2),
                key: key.iter().map(place).collect(),
                columns,
                unchecked: row.get(4),
                free: None,
                gone: BTreeSet::new(),
                told_apart: ToldApart::default(),
            };
            (name, table)
        };
        rows.into_iter().map(table).collect()
    }

    pub(super) fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// The columns of the key with their values in a row.
    pub(super) fn key_of(&self, row: &[Value]) -> Vec<(String, Value)> {
        let pair = |&at: &usize| (self.columns[at].name.clone(), row[at].clone());
        self.key.iter().map(pair).collect()
    }

    /// The values of the key in a row.
    pub(super) fn key_values(&self, row: &[Value]) -> Vec<Value> {
        self.key.iter().map(|&at| row[at].clone()).collect()
    }

    /// Columns that an INSERT may set.
    pub(super) fn written_columns(&self) -> Vec<&Column> {
        self.columns
            .iter()
            .filter(|column| !column.is_generated)
            .collect()
    }

    /// Columns that an UPDATE may set, of the key or beside it.
    pub(super) fn free_columns(&self, of_key: bool) -> Vec<usize> {
        let wanted = |at: &usize| self.columns[*at].is_free && self.key.contains(at) == of_key;
        (0..self.columns.len()).filter(wanted).collect()
    }

    /// All columns as a list for SELECT.
    pub(super) fn column_list(&self) -> String {
        list(self.columns.iter())
    }

    /// What tells a row apart as SQL, as one text: its key, or all of it.
    pub(super) fn identity(&self) -> String {
        let list = if self.has_key() {
            list(self.key.iter().map(|&at| &self.columns[at]))
        } else {
            self.column_list()
        };
        format!("ROW({list})::text")
    }
}

fn list<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    let names: Vec<String> = columns
        .map(|column| format!("t.{}", column.quoted))
        .collect();
    names.join(", ")
}
