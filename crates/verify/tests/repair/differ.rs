//! Differences found the plain way: both tables are read whole, and compared as text.

use std::collections::{BTreeMap, HashMap};

use trunkline_changes::{TableName, quote_ident};
use trunkline_postgres::{DataRow, Session};
use trunkline_verify::{DifferenceKind, KeyValue, Place, RowDifference};

type Text = Option<Vec<u8>>;

struct Table {
    name: TableName,
    only: &'static str,
    columns: Vec<String>,
    key: Vec<String>,
}

struct Row {
    place: Place,
    values: Vec<Text>,
}

const TABLES: &str = "SELECT n.nspname, c.relname, c.relkind = 'p', \
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
          AND NOT a.attisdropped ORDER BY 1), \
    coalesce((SELECT ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid \
          AND a.attnum = ANY (i.indkey) ORDER BY a.attnum) FROM pg_index i WHERE i.indrelid = c.oid \
          AND (i.indisprimary OR i.indisreplident) ORDER BY i.indisprimary DESC LIMIT 1), '{}') \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' \
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2";

/// All differences between two databases with the same tables (which may lack columns on the
/// source).
pub(crate) async fn differences(source: &mut Session, target: &mut Session) -> Vec<RowDifference> {
    let mut found = Vec::new();
    for table in source.query(TABLES, &[]).await.expect("the tables") {
        let table = Table {
            name: TableName::new(text(&table, 0), text(&table, 1)),
            only: if table.get(2).expect("a kind") {
                ""
            } else {
                "ONLY "
            },
            columns: table.get(3).expect("columns"),
            key: table.get(4).expect("a key"),
        };
        let here = rows(source, &table).await;
        let there = rows(target, &table).await;
        if table.key.is_empty() {
            compare_contents(&table, here, there, &mut found);
        } else {
            compare_by_key(&table, &here, there, &mut found);
        }
    }
    found
}

/// The tables that differences are about.
pub(crate) fn tables(differences: &[RowDifference]) -> Vec<TableName> {
    let mut names: Vec<TableName> = differences.iter().map(|d| d.table.clone()).collect();
    names.sort();
    names.dedup();
    names
}

async fn rows(session: &mut Session, table: &Table) -> Vec<Row> {
    let mut list = String::from("t.tableoid::regclass::text, t.ctid");
    for column in &table.columns {
        list.push_str(", t.");
        list.push_str(&quote_ident(column));
    }
    let sql = format!(
        "SELECT {list} FROM {}{} AS t",
        table.only,
        table.name.quoted()
    );
    let rows = session.query(&sql, &[]).await.expect(&sql);
    let rows = rows.iter().map(|row| Row {
        place: Place {
            relation: text(row, 0),
            ctid: text(row, 1),
        },
        values: (2..row.len())
            .map(|i| row.raw(i).map(<[u8]>::to_vec))
            .collect(),
    });
    rows.collect()
}

fn text(row: &DataRow, column: usize) -> String {
    row.get(column).expect("a text")
}

impl Table {
    fn key_of(&self, row: &Row) -> Vec<KeyValue> {
        let columns = self.key.iter();
        columns
            .map(|name| {
                let at = self.columns.iter().position(|column| column == name);
                let value = &row.values[at.expect("a column")];
                KeyValue {
                    column: name.clone(),
                    value: value.clone().map(|v| String::from_utf8(v).expect("UTF-8")),
                }
            })
            .collect()
    }

    fn difference(
        &self,
        kind: DifferenceKind,
        source: Option<&Row>,
        target: Option<&Row>,
    ) -> RowDifference {
        let row = source.or(target).expect("a row");
        let mut columns = Vec::new();
        if let (Some(source), Some(target)) = (source, target) {
            let names = self.columns.iter().enumerate();
            let differing = names.filter(|(i, _)| source.values[*i] != target.values[*i]);
            columns.extend(differing.map(|(_, name)| name.clone()));
        }
        RowDifference {
            table: self.name.clone(),
            kind,
            key: self.key_of(row),
            columns,
            source: source.map(|row| row.place.clone()),
            target: target.map(|row| row.place.clone()),
        }
    }
}

fn compare_by_key(table: &Table, here: &[Row], there: Vec<Row>, found: &mut Vec<RowDifference>) {
    let key = |row: &Row| -> Vec<Option<String>> {
        table.key_of(row).into_iter().map(|k| k.value).collect()
    };
    let mut there: BTreeMap<_, Row> = there.into_iter().map(|row| (key(&row), row)).collect();
    for row in here {
        match there.remove(&key(row)) {
            None => found.push(table.difference(DifferenceKind::Missing, Some(row), None)),
            Some(other) if other.values != row.values => {
                found.push(table.difference(DifferenceKind::Different, Some(row), Some(&other)));
            }
            Some(_) => {}
        }
    }
    let extra = there.values();
    found.extend(extra.map(|row| table.difference(DifferenceKind::Extra, None, Some(row))));
}

fn compare_contents(
    table: &Table,
    here: Vec<Row>,
    there: Vec<Row>,
    found: &mut Vec<RowDifference>,
) {
    let mut contents: HashMap<Vec<Text>, (Vec<Row>, Vec<Row>)> = HashMap::new();
    for row in here {
        contents.entry(row.values.clone()).or_default().0.push(row);
    }
    for row in there {
        contents.entry(row.values.clone()).or_default().1.push(row);
    }
    for (here, there) in contents.values() {
        let kind = if here.is_empty() {
            DifferenceKind::Extra
        } else {
            DifferenceKind::Duplicated
        };
        for row in here.iter().skip(there.len()) {
            found.push(table.difference(DifferenceKind::Missing, Some(row), None));
        }
        for row in there.iter().skip(here.len()) {
            found.push(table.difference(kind, None, Some(row)));
        }
    }
}
