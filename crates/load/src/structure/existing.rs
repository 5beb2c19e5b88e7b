//! What stands on the target already under the names that the structure brings, and the
//! only way in which this crate drops tables: exactly the named ones, with our records of
//! them in the same transaction.

use std::collections::HashSet;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{OnSide, PgError, Session};

use super::dump::Structure;
use super::entry::Entry;
use super::record::{Record, forget_sql, key};
use crate::error::LoadError;
use crate::limits::NAMES_PER_QUERY;

/// An object of the target that the structure would make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// As `pg_dump` calls it: `TABLE`, `VIEW`, `SEQUENCE`, `TYPE`, ….
    pub kind: String,
    /// Its name.
    pub name: TableName,
}

const RELATIONS: [&str; 5] = [
    "TABLE",
    "VIEW",
    "MATERIALIZED VIEW",
    "FOREIGN TABLE",
    "SEQUENCE",
];
const TYPES: [&str; 2] = ["TYPE", "DOMAIN"];

/// The relations and types of the structure that stand on the target without a record of
/// ours. The records are read last: what a session of a run that was killed commits meanwhile
/// is ours.
pub async fn existing_objects(
    target: &mut Session,
    structure: &Structure,
) -> Result<Vec<Existing>, LoadError> {
    let of = |kinds: &[&str]| -> Vec<&Entry> {
        let entries = structure.entries.iter();
        entries
            .filter(|entry| kinds.contains(&entry.kind().as_str()))
            .collect()
    };
    let mut existing = standing(target, "pg_class", of(&RELATIONS)).await?;
    existing.extend(standing(target, "pg_type", of(&TYPES)).await?);
    let record = Record::read(target).await?;
    existing.retain(|entry| !record.holds(&key(entry)));
    let named = existing.into_iter().map(|entry| Existing {
        kind: entry.kind().to_string(),
        name: entry.table_name(),
    });
    Ok(named.collect())
}

async fn standing<'e>(
    target: &mut Session,
    catalog: &str,
    wanted: Vec<&'e Entry>,
) -> Result<Vec<&'e Entry>, LoadError> {
    let column = if catalog == "pg_class" { "rel" } else { "typ" };
    let sql = format!(
        "SELECT w.place FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema, name, place) \
         JOIN pg_namespace n ON n.nspname = w.schema \
         JOIN {catalog} o ON o.{column}namespace = n.oid AND o.{column}name = w.name"
    );
    let doing = "looking for objects of the same names";
    let mut found = HashSet::new();
    for (page, names) in wanted.chunks(NAMES_PER_QUERY).enumerate() {
        let schemas: Vec<&str> = names.iter().map(|entry| entry.schema().as_str()).collect();
        let tables: Vec<&str> = names.iter().map(|entry| entry.name.as_str()).collect();
        for row in target
            .query(&sql, &[&schemas, &tables])
            .await
            .on(Side::Target, doing)?
        {
            let place: usize =
                usize::try_from(row.get::<u64>(0).on(Side::Target, doing)?).unwrap_or(0);
            found.insert(page * NAMES_PER_QUERY + place - 1);
        }
    }
    let standing = wanted
        .into_iter()
        .enumerate()
        .filter(|(place, _)| found.contains(place));
    Ok(standing.map(|(_, entry)| entry).collect())
}

/// Drops these tables and nothing that hangs on them from outside (no CASCADE), and
/// forgets their copies and what was built on them. The caller shows by receipts that
/// they are ours, or that the operator asked for it.
pub async fn drop_tables(
    target: &mut Session,
    structure: &Structure,
    tables: &[TableName],
) -> Result<(), LoadError> {
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = tables.iter().map(TableName::quoted).collect();
    let mut sql = format!("DROP TABLE IF EXISTS {};\n", names.join(", "));
    for key in hanging_on(structure, tables) {
        sql.push_str(&forget_sql(&key));
    }
    for table in tables {
        sql.push_str(&crate::ledger::forget_sql(table));
    }
    target
        .batch(&sql)
        .await
        .map(drop)
        .map_err(|cause: PgError| LoadError::Entry {
            entry: format!("room: dropping {}", names.join(", ")),
            cause,
        })
}

/// Keys of the tables' entries and of all that need them.
fn hanging_on(structure: &Structure, tables: &[TableName]) -> Vec<super::record::Key> {
    let dropped: HashSet<&TableName> = tables.iter().collect();
    let mut ids: HashSet<u32> = HashSet::new();
    let mut keys = Vec::new();
    // pg_dump writes what is needed first, so one pass reaches everything.
    for entry in &structure.entries {
        let is_dropped = entry.kind() == "TABLE" && dropped.contains(&entry.table_name());
        if is_dropped || entry.needs.iter().any(|id| ids.contains(id)) {
            ids.insert(entry.id);
            keys.push(key(entry));
            for kind in [
                super::record::VALIDATED,
                super::record::INDEXED,
                super::record::REFRESHED,
                super::record::ANALYZED,
            ] {
                keys.push(super::record::key_as(entry, kind));
            }
        }
    }
    keys
}
