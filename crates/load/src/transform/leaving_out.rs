//! Columns that stay behind: what on the source uses them, and their removal from the
//! tables that were restored, before any row comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_postgres::{OnSide, PgError, Session};

use super::refused;
use crate::catalog::Table;
use crate::error::LoadError;

/// Columns by table.
pub(crate) type Columns = BTreeMap<TableName, BTreeSet<String>>;

/// Something that uses a column which stays behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// What it is, in the server's words.
    pub(crate) description: String,
    /// `column of table`.
    pub(crate) column: String,
}

/// The catalog of defaults, `pg_attrdef`: the column's own goes with it, unsaid.
pub(crate) const DEFAULTS: u32 = 2604;

/// By catalog and OID.
pub(crate) type Users = HashMap<(u32, u32), User>;

/// Reads what uses the columns. What could not do without one is refused.
pub(crate) async fn read_users(
    source: &mut Session,
    columns: &Columns,
) -> Result<Users, LoadError> {
    let each = columns
        .iter()
        .flat_map(|(table, names)| names.iter().map(|name| (table.quoted(), name.clone())));
    let (tables, names): (Vec<String>, Vec<String>) = each.unzip();
    if tables.is_empty() {
        return Ok(Users::new());
    }
    let doing = "reading what uses the columns that are left out";
    let sql = include_str!("../sql/column_users.sql");
    let rows = source.query(sql, &[&tables, &names]).await;
    let mut users = Users::new();
    for row in &rows.on(Side::Source, doing)? {
        let read = || -> Result<_, PgError> {
            let texts: [String; 5] = [
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
            ];
            Ok((row.get::<u32>(0)?, row.get::<u32>(1)?, texts))
        };
        let (class, oid, [description, how, table, column, generated]) =
            read().on(Side::Source, doing)?;
        match how.as_str() {
            "partition key" => {
                return Err(refused(format!(
                    "{table}.{column} cannot be left out: the table is partitioned by it"
                )));
            }
            "generated" => {
                let stays = |of: &TableName, names: &BTreeSet<String>| {
                    format!("{}.{}", of.schema, of.name) == table && names.contains(&generated)
                };
                if !columns.iter().any(|(of, names)| stays(of, names)) {
                    return Err(refused(format!(
                        "{table}.{column} cannot be left out alone: {generated} is generated from \
                         it (leave that one out too)"
                    )));
                }
            }
            _ => {
                let column = format!("{column} of {table}");
                let user = User {
                    description,
                    column,
                };
                users.insert((class, oid), user);
            }
        }
    }
    Ok(users)
}

/// Whether an entry is about a column of these alone: its comment or its grants.
pub(crate) fn is_about_one(columns: &Columns, schema: &str, name: &str) -> bool {
    let Some(rest) = name.strip_prefix("COLUMN ") else {
        return false;
    };
    // Each part is quoted where it must be.
    let spelled = |part: &str| [part.to_owned(), quote_ident(part)];
    let mut of_schema = columns.iter().filter(|(table, _)| table.schema == schema);
    of_schema.any(|(table, names)| {
        names.iter().any(|column| {
            spelled(&table.name).iter().any(|table| {
                let columns = spelled(column);
                columns
                    .iter()
                    .any(|column| rest == format!("{table}.{column}"))
            })
        })
    })
}

/// The statements that remove the columns from restored tables, each with its table; those of
/// partitions go with their partitioned table's.
pub(crate) fn removals(tables: &[Table], columns: &Columns) -> Vec<(TableName, String)> {
    let roots = super::layout::roots(tables);
    let own = tables
        .iter()
        .filter(|table| roots[&table.name] == table.name);
    own.filter_map(|table| {
        let names = columns.get(&table.name)?;
        // What is generated from others goes first.
        let (generated, stored): (Vec<_>, Vec<_>) = table
            .shape
            .columns
            .iter()
            .filter(|column| names.contains(column.name.as_str()))
            .partition(|column| column.generated);
        let drops = generated.into_iter().chain(stored);
        let drops: Vec<String> = drops
            .map(|column| format!("DROP COLUMN IF EXISTS {}", quote_ident(&column.name)))
            .collect();
        let quoted = table.name.quoted();
        Some((
            table.name.clone(),
            format!("ALTER TABLE {quoted} {};", drops.join(", ")),
        ))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_columns_comment_is_known_however_its_name_is_quoted() {
        let columns = Columns::from([(
            TableName::new("public", "Orders"),
            BTreeSet::from(["secret".to_owned()]),
        )]);
        for (schema, name, expected) in [
            ("public", "COLUMN \"Orders\".secret", true),
            ("public", "COLUMN \"Orders\".\"secret\"", true),
            ("public", "COLUMN \"Orders\".secrets", false),
            ("other", "COLUMN \"Orders\".secret", false),
            ("public", "TABLE Orders", false),
        ] {
            assert_eq!(is_about_one(&columns, schema, name), expected, "{name}");
        }
    }
}
