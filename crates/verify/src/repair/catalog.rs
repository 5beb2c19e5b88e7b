//! The target's tables as mending needs them, read from its catalog in one query.

use std::collections::BTreeMap;

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};

/// The tables of the target that are mended.
#[derive(Clone, Debug, Default)]
pub struct RepairTables {
    by_name: BTreeMap<TableName, RepairTable>,
}

/// A table of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairTable {
    /// Its name.
    pub target: TableName,
    /// Whether its rows lie in partitions.
    pub partitioned: bool,
    /// Whether it, or a partition of it, has a trigger, a rule or a cascading foreign key that
    /// acts unless the session is in the replica role.
    pub fires: bool,
    /// Its columns, in order.
    pub columns: Vec<RepairColumn>,
}

/// A column of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairColumn {
    /// Its name.
    pub name: String,
    /// Its type as SQL, without the modifier: a cast to `varchar(3)` cuts a value in silence,
    /// where the assignment to the column refuses it.
    pub type_name: String,
    /// Whether the server computes it.
    pub generated: Generated,
    /// GENERATED ALWAYS AS IDENTITY: only an INSERT can give it a value.
    pub identity_always: bool,
    /// Whether a unique index or an exclusion constraint looks at it.
    pub in_unique_index: bool,
    /// Whether it decides about the row's partition.
    pub in_partition_key: bool,
    /// The operator of a unique index by which it is compared, as SQL.
    pub equality: Option<String>,
    /// How its value becomes text.
    pub text: TextForm,
    /// What the comparison of such texts needs behind it.
    pub(crate) collate: &'static str,
}

/// Whether the server computes a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generated {
    /// No.
    Not,
    /// When the row is written.
    Stored,
    /// When it is read.
    Virtual,
}

/// How a value becomes text in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// A cast tells all values apart.
    Cast,
    /// The cast loses something (the padding of `char`): the output function is asked.
    Output,
}

impl RepairTables {
    /// Reads the tables among `names` that exist on the target.
    pub async fn read(session: &mut Session, names: &[TableName]) -> Result<Self, Fault> {
        read(session, names).await.on(
            Side::Target,
            "reading the description of the tables to mend",
        )
    }

    /// A table by its name.
    pub fn get(&self, name: &TableName) -> Option<&RepairTable> {
        self.by_name.get(name)
    }
}

async fn read(session: &mut Session, names: &[TableName]) -> Result<RepairTables, PgError> {
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let sql = include_str!("../sql/repair_tables.sql");
    let mut found = RepairTables::default();
    for row in session.query(sql, &[&schemas, &tables]).await? {
        let name = row.table_name(0, 1)?;
        let (partitioned, fires) = (row.get(2)?, row.get(3)?);
        let table = found
            .by_name
            .entry(name.clone())
            .or_insert_with(|| RepairTable {
                target: name,
                partitioned,
                fires,
                columns: Vec::new(),
            });
        if row.raw(4).is_some() {
            table.columns.push(read_column(&row)?);
        }
    }
    Ok(found)
}

fn read_column(row: &DataRow) -> Result<RepairColumn, PgError> {
    Ok(RepairColumn {
        name: row.get(4)?,
        type_name: row.get(5)?,
        generated: match row.get::<String>(6)?.as_str() {
            "" => Generated::Not,
            "v" => Generated::Virtual,
            _ => Generated::Stored,
        },
        identity_always: row.get(7)?,
        in_unique_index: row.get(8)?,
        in_partition_key: row.get(9)?,
        equality: row.get(10)?,
        text: if row.get(11)? {
            TextForm::Output
        } else {
            TextForm::Cast
        },
        collate: if row.get(12)? {
            " COLLATE pg_catalog.\"C\""
        } else {
            ""
        },
    })
}

impl RepairTable {
    /// The number of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The columns that take values.
    pub(crate) fn written(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.columns.len()).filter(|&column| self.columns[column].generated == Generated::Not)
    }

    /// A column's name for SQL.
    pub(crate) fn ident(&self, column: usize) -> String {
        quote_ident(&self.columns[column].name)
    }

    /// Whether a row must be taken out and put in again to change this column. A computed
    /// column of an index may depend on any.
    pub(crate) fn is_fixed(&self, column: usize) -> bool {
        let computed = |column: &RepairColumn| column.generated != Generated::Not;
        let decides = |column: &RepairColumn| column.in_unique_index || column.in_partition_key;
        let column = &self.columns[column];
        column.identity_always
            || decides(column)
            || self.columns.iter().any(|c| computed(c) && decides(c))
    }
}
