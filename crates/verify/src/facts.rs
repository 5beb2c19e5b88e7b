//! What a server's catalogs say of tables that are to be compared, read in bulk.

use std::collections::BTreeMap;

use smol_str::SmolStr;
use trunkline_changes::{ColumnMap, TableName};
use trunkline_postgres::{DataRow, PgError, Session};

/// What one side's catalog says of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnFacts {
    /// The OID of the type below any domain.
    pub(crate) base_type: u32,
    /// Its name, as SQL.
    pub(crate) base_name: SmolStr,
    /// Whether there is a domain above it.
    pub(crate) is_domain: bool,
}

/// What one side's catalog says of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableFacts {
    pub(crate) columns: BTreeMap<SmolStr, ColumnFacts>,
    /// What tells its rows apart; empty where nothing does.
    pub(crate) key: Vec<SmolStr>,
}

impl TableFacts {
    /// The same with the names that the other side's columns have.
    pub(crate) fn seen_as(self, names: &ColumnMap) -> Self {
        if !names.renames() {
            return self;
        }
        let names = names.turned();
        let name = |name: SmolStr| names.there(&name).map_or(name.clone(), SmolStr::from);
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
        let take = |row: DataRow| {
            let facts = ColumnFacts {
                base_type: row.get(2)?,
                base_name: row.get(3)?,
                is_domain: row.get(4)?,
            };
            if let Some(table) = place(&row, &mut all)? {
                table.columns.insert(row.get(1)?, facts);
            }
            Ok(())
        };
        session.query_each(columns, &[&names], take).await?;
        let take = |row: DataRow| {
            let key: Vec<SmolStr> = row.get(1)?;
            if let Some(table) = place(&row, &mut all)? {
                table.key = key;
            }
            Ok(())
        };
        let keys = include_str!("sql/keys.sql");
        session.query_each(keys, &[&names], take).await?;
        Ok(all)
    }
}

fn place<'a>(
    row: &DataRow,
    all: &'a mut [TableFacts],
) -> Result<Option<&'a mut TableFacts>, PgError> {
    let at: i32 = row.get(0)?;
    Ok(usize::try_from(at).ok().and_then(|at| all.get_mut(at)))
}
