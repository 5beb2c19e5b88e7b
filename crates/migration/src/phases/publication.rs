//! A publication of ours on a server: made, and taken away. Each statement locks the tables
//! that it names, so that of very many tables some go at a time.

use std::collections::HashSet;

use trunkline_changes::{TableName, quote_ident};
use trunkline_postgres::{PgError, Session};

use crate::limits::PUBLISHED_AT_ONCE;

/// What one publication publishes.
pub(crate) struct Publication {
    pub(crate) name: String,
    pub(crate) operations: &'static str,
    /// Tables, each with what is said of it: its name, columns and rows.
    pub(crate) tables: Vec<(TableName, String)>,
}

impl Publication {
    /// The statements that make it.
    pub(crate) fn statements(&self) -> Vec<String> {
        let mut some = self.tables.chunks(PUBLISHED_AT_ONCE);
        let tables = some.next().map_or_else(String::new, |first| {
            format!(" FOR TABLE {}", listed(first.iter().map(|(_, said)| said)))
        });
        let mut made = vec![format!(
            "CREATE PUBLICATION {}{tables} WITH (publish = '{}')",
            quote_ident(&self.name),
            self.operations
        )];
        made.extend(some.map(|some| self.addition(some.iter().map(|(_, said)| said))));
        made
    }

    fn addition<'a>(&self, tables: impl Iterator<Item = &'a String>) -> String {
        let name = quote_ident(&self.name);
        format!("ALTER PUBLICATION {name} ADD TABLE {}", listed(tables))
    }

    /// Makes it, or what an interruption has left out of it.
    pub(crate) async fn make(&self, server: &mut Session) -> Result<(), PgError> {
        if !exists(server, &self.name).await? {
            for statement in self.statements() {
                server.batch(&statement).await?;
            }
            return Ok(());
        }
        let there: HashSet<TableName> = tables(server, &self.name, None)
            .await?
            .into_iter()
            .collect();
        let missing = self.tables.iter().filter(|(name, _)| !there.contains(name));
        let missing: Vec<&String> = missing.map(|(_, said)| said).collect();
        for some in missing.chunks(PUBLISHED_AT_ONCE) {
            server.batch(&self.addition(some.iter().copied())).await?;
        }
        Ok(())
    }
}

/// Takes a publication away, if it is there.
pub(crate) async fn remove(server: &mut Session, name: &str) -> Result<(), PgError> {
    let quoted = quote_ident(name);
    loop {
        let some = tables(server, name, Some(PUBLISHED_AT_ONCE)).await?;
        if some.len() < PUBLISHED_AT_ONCE {
            break;
        }
        let some: Vec<String> = some.iter().map(TableName::quoted).collect();
        let sql = format!(
            "ALTER PUBLICATION {quoted} DROP TABLE {}",
            listed(some.iter())
        );
        server.batch(&sql).await?;
    }
    let sql = format!("DROP PUBLICATION IF EXISTS {quoted}");
    server.batch(&sql).await.map(drop)
}

/// Whether there is a publication of that name.
pub(crate) async fn exists(server: &mut Session, name: &str) -> Result<bool, PgError> {
    let sql = "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1";
    Ok(server.query_opt(sql, &[&name]).await?.is_some())
}

/// Tables that a publication names, so many at the most.
async fn tables(
    server: &mut Session,
    name: &str,
    most: Option<usize>,
) -> Result<Vec<TableName>, PgError> {
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_publication p \
               JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid \
               JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE p.pubname = $1 LIMIT $2::bigint";
    let rows = server.query(sql, &[&name, &most]).await?;
    let named = rows.iter().map(|row| {
        let schema: String = row.get(0)?;
        Ok(TableName::new(schema, row.get::<String>(1)?))
    });
    named.collect()
}

fn listed<'a>(tables: impl Iterator<Item = &'a String>) -> String {
    let only: Vec<String> = tables.map(|table| format!("ONLY {table}")).collect();
    only.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_tables_are_added_some_at_a_time() {
        let publication = |count: usize| Publication {
            name: "p".to_owned(),
            operations: "insert",
            tables: (0..count)
                .map(|n| TableName::new("s", format!("t{n}")))
                .map(|name| (name.clone(), name.quoted()))
                .collect(),
        };
        assert_eq!(
            publication(2).statements(),
            [
                "CREATE PUBLICATION \"p\" FOR TABLE ONLY \"s\".\"t0\", ONLY \"s\".\"t1\" \
                 WITH (publish = 'insert')"
            ]
        );
        assert_eq!(
            publication(0).statements(),
            ["CREATE PUBLICATION \"p\" WITH (publish = 'insert')"]
        );
        let many = publication(PUBLISHED_AT_ONCE + 1).statements();
        assert_eq!(
            many[1..],
            [format!(
                "ALTER PUBLICATION \"p\" ADD TABLE ONLY \"s\".\"t{PUBLISHED_AT_ONCE}\""
            )]
        );
    }
}
