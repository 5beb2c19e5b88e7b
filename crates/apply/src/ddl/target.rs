//! One object of a change, looked up on the target.

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{OnSide, PgError, Session};

use super::judge::{self, Copied, ForeignKeys, Judged};
use super::message::{Column, Index, Labels, Object, Relation};
use super::source::columns_query;
use crate::error::ApplyError;
use crate::options::{Destination, TableMap};

/// What an object is judged by.
pub(super) struct Examined<'a> {
    pub(super) object: &'a Object,
    pub(super) is_drop: bool,
    pub(super) copied: Copied,
    pub(super) map: &'a TableMap,
    pub(super) foreign_keys: ForeignKeys,
}

impl Examined<'_> {
    /// What is to be done about it.
    pub(super) async fn judge(self, session: &mut Session) -> Result<Judged, ApplyError> {
        let judged = if self.is_drop {
            self.dropped(session).await
        } else if let Some(relation) = &self.object.relation {
            self.table(session, relation).await
        } else if let Some(index) = &self.object.index {
            self.index(session, index).await
        } else if let Some(labels) = &self.object.labels {
            enumeration(session, labels).await
        } else {
            Ok(Judged::open("changes of this kind are not replayed"))
        };
        Ok(judged.on(Side::Target, "reading its structure")?)
    }

    /// Where a table's rows go, if it belongs to the migration.
    fn place(&self, table: &TableName) -> Option<&TableName> {
        match self.map.destination(table) {
            Some(Destination::Table(place)) => Some(place),
            Some(Destination::Ignored) | None => None,
        }
    }

    async fn table(&self, session: &mut Session, relation: &Relation) -> Result<Judged, PgError> {
        let name = TableName::new(&relation.schema, &relation.name);
        let Some(place) = self.place(&name) else {
            return Ok(Judged::open(format!(
                "{name} is not among the tables that move: it is made after the copy, or renamed"
            )));
        };
        let Some(oid) = oid(session, place).await? else {
            return Ok(Judged::stop(format!("the target has no table {place}")));
        };
        let target = columns(session, oid).await?;
        let source = relation.columns.as_deref().unwrap_or_default();
        let constrained = relation.constraints.as_deref().unwrap_or_default();
        let named = constraints(session, oid).await?;
        let judged = judge::columns(place, source, &target, self.copied);
        Ok(judged.and(judge::constraints(
            place,
            constrained,
            &named,
            &target,
            self.foreign_keys,
        )))
    }

    async fn index(&self, session: &mut Session, index: &Index) -> Result<Judged, PgError> {
        let table = TableName::new(&index.table_schema, &index.table);
        let name = TableName::new(&index.schema, &index.name);
        if oid(session, &name).await?.is_some() {
            return Ok(Judged::fits());
        }
        Ok(match self.place(&table) {
            Some(place) if *place == table && index.alone => Judged::run(index.made_by.clone()),
            Some(_) => Judged::open(format!(
                "the index {name} belongs to a constraint or to a partitioned table"
            )),
            None => Judged::open(format!("{table} is not among the tables that move")),
        })
    }

    async fn dropped(&self, session: &mut Session) -> Result<Judged, PgError> {
        let names = &self.object.names;
        let there = match (self.object.kind.as_str(), names.as_slice()) {
            ("table column", [schema, table, column]) => {
                let table = TableName::new(schema, table);
                let Some(place) = self.place(&table) else {
                    return Ok(Judged::default());
                };
                let stands = match oid(session, place).await? {
                    Some(oid) => {
                        let columns = columns(session, oid).await?;
                        columns.iter().any(|there| there.name == *column)
                    }
                    None => false,
                };
                if stands && self.copied == Copied::Before {
                    return Ok(Judged::stop(format!(
                        "the source dropped {column} of {place}, which the target has"
                    )));
                }
                return Ok(Judged::fits());
            }
            ("table" | "index" | "view" | "sequence" | "materialized view", [schema, name]) => {
                oid(session, &TableName::new(schema, name)).await?.is_some()
            }
            _ => true,
        };
        if !there {
            return Ok(Judged::fits());
        }
        let (kind, name) = (&self.object.kind, self.object.identity.as_deref());
        Ok(Judged::open(format!(
            "{kind} {} was dropped on the source",
            name.unwrap_or_default()
        )))
    }
}

/// The OID of a relation of any kind.
async fn oid(session: &mut Session, name: &TableName) -> Result<Option<u32>, PgError> {
    let sql = "SELECT c.oid FROM pg_catalog.pg_class AS c \
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1::text AND c.relname = $2::text";
    let row = session.query_opt(sql, &[&name.schema, &name.name]).await?;
    row.map(|row| row.get(0)).transpose()
}

async fn columns(session: &mut Session, oid: u32) -> Result<Vec<Column>, PgError> {
    let row = session.query_one(&columns_query(), &[&oid]).await?;
    let text: Option<String> = row.get(0)?;
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    serde_json::from_str(&text)
        .map_err(|error| PgError::Protocol(format!("a table's columns cannot be read: {error}")))
}

/// The names of a table's constraints.
async fn constraints(session: &mut Session, oid: u32) -> Result<Vec<String>, PgError> {
    let sql = "SELECT conname::text FROM pg_catalog.pg_constraint WHERE conrelid = $1::oid";
    let rows = session.query(sql, &[&oid]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn enumeration(session: &mut Session, source: &Labels) -> Result<Judged, PgError> {
    let sql = "SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e \
               JOIN pg_catalog.pg_type AS t ON t.oid = e.enumtypid \
               JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace \
               WHERE n.nspname = $1::text AND t.typname = $2::text ORDER BY e.enumsortorder";
    let rows = session.query(sql, &[&source.schema, &source.name]).await?;
    if rows.is_empty() {
        return Ok(Judged::open("the target has no such type"));
    }
    let labels = rows.iter().map(|row| row.get(0));
    let labels: Vec<String> = labels.collect::<Result<_, _>>()?;
    Ok(judge::labels(source, &labels))
}
