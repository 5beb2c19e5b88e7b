//! Reads [`TargetTable`]s from the catalog: three queries, however many tables.

use std::collections::HashMap;
use std::sync::Arc;

use trunkline_changes::{Pool, Side, TableName};
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};

use crate::table::{
    ArrayType, Operator, TableKind, TargetColumn, TargetTable, UniqueKey, ValueType, Written,
    type_name,
};

/// The tables among `names` that exist on the target.
pub(crate) async fn read_tables(
    session: &mut Session,
    names: &[TableName],
) -> Result<HashMap<TableName, TargetTable>, Fault> {
    read(session, names)
        .await
        .on(Side::Target, "reading the description of its tables")
}

async fn read(
    session: &mut Session,
    names: &[TableName],
) -> Result<HashMap<TableName, TargetTable>, PgError> {
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let mut found = Found::default();
    let sql = include_str!("../sql/target_tables.sql");
    let take = |row: DataRow| {
        let table = read_table(&row)?;
        found.tables.insert(table.oid, table);
        Ok(())
    };
    session.query_each(sql, &[&schemas, &tables], take).await?;
    let oids: Vec<String> = found.tables.keys().map(u32::to_string).collect();
    let sql = include_str!("../sql/target_columns.sql");
    let take = |row: DataRow| found.add_column(&row);
    session.query_each(sql, &[&oids], take).await?;
    found.columns_end();
    let sql = include_str!("../sql/target_keys.sql");
    let take = |row: DataRow| found.add_key_column(&row);
    session.query_each(sql, &[&oids], take).await?;
    found.keys_end();
    let tables = found.tables.into_values();
    Ok(tables.map(|table| (table.name.clone(), table)).collect())
}

/// Tables as they are read: their columns and keys come table by table.
#[derive(Default)]
struct Found {
    tables: HashMap<u32, TargetTable>,
    types: Pool<ValueType>,
    column_lists: Pool<[TargetColumn]>,
    key_lists: Pool<[UniqueKey]>,
    /// Of which table the columns or keys come now.
    current: u32,
    columns: Vec<TargetColumn>,
    keys: Vec<UniqueKey>,
    /// Of which index the columns come now.
    index: u32,
}

impl Found {
    fn add_column(&mut self, row: &DataRow) -> Result<(), PgError> {
        let table = row.get(0)?;
        if table != self.current {
            self.columns_end();
            self.current = table;
        }
        let column = self.column(row)?;
        self.columns.push(column);
        Ok(())
    }

    /// The last column of a table was read.
    fn columns_end(&mut self) {
        let columns = std::mem::take(&mut self.columns);
        if let Some(table) = self.tables.get_mut(&self.current) {
            table.columns = self.column_lists.share(columns);
        }
        self.current = 0;
    }

    fn column(&mut self, row: &DataRow) -> Result<TargetColumn, PgError> {
        let generated: String = row.get(3)?;
        let identity: String = row.get(4)?;
        let array = match (row.get::<Option<String>>(8)?, row.get::<Option<String>>(9)?) {
            (Some(schema), Some(name)) => Some(ArrayType {
                cast: type_name(&schema, &name),
                delimiter: row.get::<String>(10)?.bytes().next().unwrap_or(b','),
            }),
            _ => None,
        };
        let value = ValueType {
            cast: type_name(&row.get::<String>(6)?, &row.get::<String>(7)?),
            array,
            exact: row.get(11)?,
        };
        Ok(TargetColumn {
            number: row.get(1)?,
            name: row.get(2)?,
            written: match (generated.as_str(), identity.as_str()) {
                ("", "a") => Written::ByInsert,
                ("", _) => Written::Freely,
                _ => Written::Never,
            },
            not_null: row.get(5)?,
            value: self.types.share(value),
        })
    }

    /// Adds one key column; an index begins where its OID differs from the last one.
    fn add_key_column(&mut self, row: &DataRow) -> Result<(), PgError> {
        let table = row.get(0)?;
        if table != self.current {
            self.keys_end();
            self.current = table;
        }
        let index = row.get(1)?;
        if index != self.index {
            self.index = index;
            self.keys.push(UniqueKey {
                columns: Vec::new(),
                immediate: row.get(2)?,
            });
        }
        let number: i16 = row.get(3)?;
        let Some(table) = self.tables.get(&table) else {
            return Ok(());
        };
        let column = table.columns.iter().position(|c| c.number == number);
        if let (Some(column), Some(key)) = (column, self.keys.last_mut()) {
            let operator = Operator {
                schema: row.get(4)?,
                name: row.get(5)?,
            };
            key.columns.push((column, operator));
        }
        Ok(())
    }

    /// The last key of a table was read.
    fn keys_end(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        if let Some(table) = self.tables.get_mut(&self.current) {
            table.keys = self.key_lists.share(keys);
        }
        self.current = 0;
    }
}

fn read_table(row: &DataRow) -> Result<TargetTable, PgError> {
    Ok(TargetTable {
        oid: row.get(0)?,
        name: row.table_name(1, 2)?,
        kind: match row.get::<String>(3)?.as_str() {
            "p" => TableKind::Partitioned,
            _ => TableKind::Plain,
        },
        fires: row.get(4)?,
        columns: Arc::default(),
        keys: Arc::default(),
    })
}
