//! Reads [`TargetTable`]s from the catalog: three queries, however many tables.

use std::collections::{BTreeMap, HashMap};

use trunkline_changes::{Side, TableName};
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
    let schemas: Vec<String> = names.iter().map(|name| name.schema.clone()).collect();
    let tables: Vec<String> = names.iter().map(|name| name.name.clone()).collect();
    let rows = session
        .query(
            include_str!("../sql/target_tables.sql"),
            &[&schemas, &tables],
        )
        .await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let table = read_table(row)?;
        found.insert(table.oid, table);
    }
    let oids: Vec<String> = found.keys().map(u32::to_string).collect();
    let mut numbers: HashMap<(u32, i16), usize> = HashMap::new();
    for row in session
        .query(include_str!("../sql/target_columns.sql"), &[&oids])
        .await?
    {
        if let Some(table) = found.get_mut(&row.get::<u32>(0)?) {
            numbers.insert((table.oid, row.get(1)?), table.columns.len());
            table.columns.push(read_column(&row)?);
        }
    }
    let mut last_index = 0;
    for row in session
        .query(include_str!("../sql/target_keys.sql"), &[&oids])
        .await?
    {
        if let Some(table) = found.get_mut(&row.get::<u32>(0)?) {
            last_index = read_key_column(&row, table, &numbers, last_index)?;
        }
    }
    Ok(found
        .into_values()
        .map(|table| (table.name.clone(), table))
        .collect())
}

fn read_table(row: &DataRow) -> Result<TargetTable, PgError> {
    Ok(TargetTable {
        oid: row.get(0)?,
        name: TableName::new(row.get::<String>(1)?, row.get::<String>(2)?),
        kind: match row.get::<String>(3)?.as_str() {
            "p" => TableKind::Partitioned,
            _ => TableKind::Plain,
        },
        fires: row.get(4)?,
        columns: Vec::new(),
        keys: Vec::new(),
    })
}

fn read_column(row: &DataRow) -> Result<TargetColumn, PgError> {
    let generated: String = row.get(3)?;
    let identity: String = row.get(4)?;
    let array = match (row.get::<Option<String>>(8)?, row.get::<Option<String>>(9)?) {
        (Some(schema), Some(name)) => Some(ArrayType {
            cast: type_name(&schema, &name),
            delimiter: row.get::<String>(10)?.bytes().next().unwrap_or(b','),
        }),
        _ => None,
    };
    Ok(TargetColumn {
        name: row.get(2)?,
        written: match (generated.as_str(), identity.as_str()) {
            ("", "a") => Written::ByInsert,
            ("", _) => Written::Freely,
            _ => Written::Never,
        },
        not_null: row.get(5)?,
        value: ValueType {
            cast: type_name(&row.get::<String>(6)?, &row.get::<String>(7)?),
            array,
            exact: row.get(11)?,
        },
    })
}

/// Adds one key column; an index begins where its OID differs from the last one.
fn read_key_column(
    row: &DataRow,
    table: &mut TargetTable,
    numbers: &HashMap<(u32, i16), usize>,
    last_index: u32,
) -> Result<u32, PgError> {
    let index: u32 = row.get(1)?;
    if index != last_index {
        table.keys.push(UniqueKey {
            columns: Vec::new(),
            immediate: row.get(2)?,
        });
    }
    let column = numbers.get(&(table.oid, row.get(3)?)).copied();
    if let (Some(column), Some(key)) = (column, table.keys.last_mut()) {
        let operator = Operator {
            schema: row.get(4)?,
            name: row.get(5)?,
        };
        key.columns.push((column, operator));
    }
    Ok(index)
}
