//! What a server's catalogs say of tables that are to be compared, read in bulk.

use std::collections::BTreeMap;

use trunkline_changes::{ColumnMap, TableName};
use trunkline_postgres::{PgError, Session};

/// What one side's catalog says of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnFacts {
    /// The OID of the type below any domain.
    pub(crate) base_type: u32,
    /// Its name, as SQL.
    pub(crate) base_name: String,
    /// Whether there is a domain above it.
    pub(crate) is_domain: bool,
}

/// What one side's catalog says of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableFacts {
    pub(crate) columns: BTreeMap<String, ColumnFacts>,
    /// What tells its rows apart; empty where nothing does.
    pub(crate) key: Vec<String>,
}

impl TableFacts {
    /// The same with the names that the other side's columns have.
    pub(crate) fn seen_as(self, names: &ColumnMap) -> Self {
        if !names.renames() {
            return self;
        }
        let names = names.turned();
        let name = |name: String| names.there(&name).unwrap_or(&name).to_owned();
        let columns = self.columns.into_iter();
        TableFacts {
            columns: columns
                .map(|(column, facts)| (name(column), facts))
                .collect(),
            key: self.key.into_iter().map(name).collect(),
        }
    }

    /// Reads many tables in two queries; gives them in the order of the names.
    pub(crate) async fn read(
        session: &mut Session,
        tables: &[&TableName],
    ) -> Result<Vec<TableFacts>, PgError> {
        let names: Vec<String> = tables.iter().map(|table| table.quoted()).collect();
        let mut all = vec![TableFacts::default(); tables.len()];
        let columns = include_str!("sql/columns.sql");
        for row in session.query(columns, &[&names]).await? {
            let facts = ColumnFacts {
                base_type: row.get(2)?,
                base_name: row.get(3)?,
                is_domain: row.get(4)?,
            };
            if let Some(table) = place(&row, &mut all)? {
                table.columns.insert(row.get(1)?, facts);
            }
        }
        for row in session
            .query(include_str!("sql/keys.sql"), &[&names])
            .await?
        {
            let key: Vec<String> = row.get(1)?;
            if let Some(table) = place(&row, &mut all)? {
                table.key = key;
            }
        }
        Ok(all)
    }
}

fn place<'a>(
    row: &trunkline_postgres::DataRow,
    all: &'a mut [TableFacts],
) -> Result<Option<&'a mut TableFacts>, PgError> {
    let at: i32 = row.get(0)?;
    Ok(usize::try_from(at).ok().and_then(|at| all.get_mut(at)))
}
