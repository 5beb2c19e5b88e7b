//! Tables and columns that were restored under the source's names get their own: all in one
//! transaction, whose statements are made here. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use trunkline_changes::{TableName, quote_ident};

use super::layout::roots;
use super::{Layout, Naming, Transform};
use crate::catalog::Table;

/// A table that gets another place.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Moving {
    /// Where it was restored.
    pub from: TableName,
    /// Where it stands then.
    pub to: TableName,
}

/// All that is renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Renames {
    /// Tables; their indexes, constraints and sequences go with them.
    pub tables: Vec<Moving>,
    /// Columns: the table where it was restored, the old name, the new one.
    pub columns: Vec<(TableName, String, String)>,
    /// Schemas that are made for them.
    pub schemas: BTreeSet<String>,
}

impl Renames {
    /// What the rules ask for, of tables that stand under the source's names; `standing` are
    /// the schemas that there are.
    pub fn new(transform: &Transform, tables: &[Table], standing: &BTreeSet<String>) -> Self {
        let layout = Layout::new(transform, tables, Naming::Final);
        let roots = roots(tables);
        let mut renames = Renames::default();
        for table in tables {
            let (from, to) = (&table.name, layout.place(&table.name));
            if from != to {
                renames.tables.push(Moving {
                    from: from.clone(),
                    to: to.clone(),
                });
                if !standing.contains(to.schema.as_str()) {
                    renames.schemas.insert(to.schema.to_string());
                }
            }
            // A partition's columns are renamed with its partitioned table's.
            if roots[from] == *from {
                let columns = layout.columns(from);
                let of_table = columns
                    .renamed()
                    .map(|(old, new)| (from.clone(), old.to_owned(), new.to_owned()));
                renames.columns.extend(of_table);
            }
        }
        renames
    }

    /// Whether nothing is renamed.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.columns.is_empty()
    }

    /// The statements that rename. Names may be handed from one to another, so each is given
    /// up for one of ours before any is taken.
    pub fn sql(&self) -> String {
        let mut sql = String::new();
        for schema in &self.schemas {
            line(
                &mut sql,
                format_args!("CREATE SCHEMA {}", quote_ident(schema)),
            );
        }
        let columns = self.columns.iter();
        sql += &called(columns.map(|(table, old, new)| (table, old.as_str(), new.as_str())));
        sql + &moved(self.tables.iter().map(|table| (&table.from, &table.to)))
    }

    /// The statements that give tables and columns their old names again; tables that are
    /// gone by now stay so.
    pub fn back_sql(&self) -> String {
        let sql = moved(self.tables.iter().map(|table| (&table.to, &table.from)));
        let columns = self.columns.iter();
        sql + &called(columns.map(|(table, old, new)| (table, new.as_str(), old.as_str())))
    }
}

fn called<'a>(columns: impl Iterator<Item = (&'a TableName, &'a str, &'a str)> + Clone) -> String {
    let mut sql = String::new();
    let held = |number: usize| quote_ident(&format!("trunkline moving {number}"));
    let mut rename = |table: &TableName, from: String, to: String| {
        let table = table.quoted();
        line(
            &mut sql,
            format_args!("ALTER TABLE IF EXISTS {table} RENAME COLUMN {from} TO {to}"),
        );
    };
    for (number, (table, from, _)) in columns.clone().enumerate() {
        rename(table, quote_ident(from), held(number));
    }
    for (number, (table, _, to)) in columns.enumerate() {
        rename(table, held(number), quote_ident(to));
    }
    sql
}

fn moved<'a>(tables: impl Iterator<Item = (&'a TableName, &'a TableName)> + Clone) -> String {
    let mut sql = String::new();
    let held = |number: usize, schema: &str| {
        TableName::new(schema, format!("trunkline moving {number}")).quoted()
    };
    for (number, (from, to)) in tables.clone().enumerate() {
        let name = quote_ident(&format!("trunkline moving {number}"));
        line(
            &mut sql,
            format_args!("ALTER TABLE IF EXISTS {} RENAME TO {name}", from.quoted()),
        );
        if from.schema != to.schema {
            let (table, schema) = (held(number, &from.schema), quote_ident(&to.schema));
            line(
                &mut sql,
                format_args!("ALTER TABLE IF EXISTS {table} SET SCHEMA {schema}"),
            );
        }
    }
    for (number, (_, to)) in tables.enumerate() {
        let (table, name) = (held(number, &to.schema), quote_ident(&to.name));
        line(
            &mut sql,
            format_args!("ALTER TABLE IF EXISTS {table} RENAME TO {name}"),
        );
    }
    sql
}

fn line(sql: &mut String, statement: std::fmt::Arguments<'_>) {
    let _never_fails = writeln!(sql, "{statement};");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::TableRules;

    #[test]
    fn two_tables_may_exchange_their_names() {
        let name = |text: &str| TableName::new("public", text);
        let mut transform = Transform::none();
        for (from, to) in [("a", "b"), ("b", "a")] {
            let rules = TableRules {
                to: Some(name(to)),
                ..TableRules::default()
            };
            transform.add_table(&name(from), rules);
        }
        let tables = [Table::bare(name("a")), Table::bare(name("b"))];
        transform.refuse_unfit(&tables).expect("they fit");
        let renames = Renames::new(&transform, &tables, &["public".to_owned()].into());
        assert!(renames.schemas.is_empty());
        let sql = renames.sql();
        let first = sql.find("TO \"b\"").expect("a becomes b");
        assert!(sql[..first].contains("\"b\" RENAME TO \"trunkline moving 1\""));
    }
}
