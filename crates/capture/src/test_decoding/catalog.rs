//! What a server's catalog says now of the tables that are streamed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use trunkline_changes::{ReplicaIdentity, TableName};
use trunkline_postgres::{DataRow, PgError, Session};

/// A table, as far as its lines do not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableFacts {
    pub(super) oid: u32,
    pub(super) name: TableName,
    /// `schema.table` as the lines name it.
    pub(super) raw: Vec<u8>,
    pub(super) identity: ReplicaIdentity,
    pub(super) columns: Vec<ColumnFacts>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnFacts {
    /// Its name as the lines have it.
    pub(super) raw: Vec<u8>,
    /// Its type as the lines have it.
    pub(super) raw_type: Vec<u8>,
    /// `pgoutput` does not send generated columns; `test_decoding` prints those that are stored.
    pub(super) generated: bool,
    /// Whether it belongs to the replica identity.
    pub(super) key: bool,
    /// Whether it belongs to the primary key.
    pub(super) primary: bool,
    pub(super) type_oid: u32,
    pub(super) type_modifier: i32,
}

/// Reads tables by their OIDs; those that are gone are missing.
pub(super) async fn read(
    session: &mut Session,
    oids: &[u32],
) -> Result<BTreeMap<u32, TableFacts>, PgError> {
    let sql = include_str!("../../sql/streamed_tables.sql");
    let mut tables = BTreeMap::new();
    for row in session.query(sql, &[&oids]).await? {
        let oid: u32 = row.get(0)?;
        let facts = match tables.entry(oid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(room) => room.insert(table(&row, oid)?),
        };
        if let Some(column) = column(&row, facts.identity)? {
            facts.columns.push(column);
        }
    }
    Ok(tables)
}

fn table(row: &DataRow, oid: u32) -> Result<TableFacts, PgError> {
    let letter: String = row.get(4)?;
    let identity = letter.bytes().next().and_then(ReplicaIdentity::from_letter);
    Ok(TableFacts {
        oid,
        name: row.table_name(1, 2)?,
        raw: row.get::<String>(3)?.into_bytes(),
        identity: identity.ok_or_else(|| PgError::Conversion {
            what: format!("a replica identity of {letter:?}"),
            why: "one of d, n, f, i".to_owned(),
        })?,
        columns: Vec::new(),
    })
}

fn column(row: &DataRow, identity: ReplicaIdentity) -> Result<Option<ColumnFacts>, PgError> {
    let Some(raw) = row.get::<Option<String>>(5)? else {
        return Ok(None);
    };
    Ok(Some(ColumnFacts {
        raw: raw.into_bytes(),
        raw_type: row.get::<String>(6)?.into_bytes(),
        generated: row.get(7)?,
        key: identity == ReplicaIdentity::Full || row.get(8)?,
        primary: row.get(9)?,
        type_oid: row.get(10)?,
        type_modifier: row.get(11)?,
    }))
}

/// A name, as the lines have it, and the table that has it now.
pub(super) struct Named {
    pub(super) name: TableName,
    pub(super) raw: Vec<u8>,
    pub(super) oid: Option<u32>,
}

/// Looks names up.
pub(super) async fn named(
    session: &mut Session,
    names: &[&TableName],
) -> Result<Vec<Named>, PgError> {
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let sql = include_str!("../../sql/named_tables.sql");
    let mut found = Vec::with_capacity(names.len());
    for row in session.query(sql, &[&schemas, &tables]).await? {
        found.push(Named {
            name: row.table_name(0, 1)?,
            raw: row.get::<String>(2)?.into_bytes(),
            oid: row.get(3)?,
        });
    }
    Ok(found)
}
