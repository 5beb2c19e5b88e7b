//! A publication of ours on a server: made, and taken away. Each statement locks the tables
//! that it names, so that of very many tables some go at a time.

use std::collections::BTreeSet;

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_postgres::{OnSide, PgError, Session, SqlState};

use crate::error::Error;
use crate::limits::{LOCK_WAITS, PUBLICATION_LOCKS_SHARE, PUBLISHED_AT_ONCE};
use crate::observer::Notice;
use crate::run::Run;

/// What one publication publishes.
pub(crate) struct Publication {
    pub(crate) name: String,
    pub(crate) operations: &'static str,
    /// What is said of each table: its name, columns and rows.
    pub(crate) tables: Vec<String>,
}

impl Publication {
    /// The statements that make it.
    pub(crate) fn statements(&self) -> Vec<String> {
        let mut some = self.tables.chunks(PUBLISHED_AT_ONCE);
        let name = quote_ident(&self.name);
        let first = some
            .next()
            .map(|first| format!(" FOR TABLE {}", listed(first)));
        let mut made = vec![format!(
            "CREATE PUBLICATION {name}{} WITH (publish = '{}')",
            first.unwrap_or_default(),
            self.operations
        )];
        made.extend(some.map(|some| added(&name, some)));
        made
    }

    /// Makes it, anew where an interruption has left a part of it: the plan may be another now.
    pub(crate) async fn make(
        &self,
        run: &Run<'_>,
        server: &mut Session,
        side: Side,
    ) -> Result<(), Error> {
        if exists(server, &self.name).await.on(side, DOING)? {
            remove(server, &self.name).await.on(side, DOING)?;
        }
        for statement in self.statements() {
            patiently(run, server, side, &statement).await?;
        }
        Ok(())
    }
}

const DOING: &str = "making the publication";

/// Modes of locks on a table that its coming into a publication or leaving one waits for.
const WAITED_FOR: [&str; 5] = [
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

/// Does a statement that locks tables. While somebody has one of them it lets go of its place
/// before them and comes again, and says who they are.
async fn patiently(
    run: &Run<'_>,
    server: &mut Session,
    side: Side,
    statement: &str,
) -> Result<(), Error> {
    let sql = format!("SET LOCAL lock_timeout = '{LOCK_WAITS}'; {statement}");
    let mut said = BTreeSet::new();
    loop {
        match server.batch(&sql).await {
            Err(error) if error.sqlstate() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {}
            done => return Ok(done.map(drop).on(side, DOING)?),
        }
        run.stop_if_cancelled()?;
        let holders = server.table_holders(&WAITED_FOR).await;
        for who in holders.on(side, DOING)? {
            let warning = format!("the publication on the {side} waits for a table: {who}");
            if said.insert(who) {
                run.observer.notice(Notice::Warning(&warning));
            }
        }
    }
}

/// Takes a publication away, if it is there. That takes a lock for what it says of each table;
/// where these are more than the server may have, tables are taken out of it before. Each of
/// them is locked for that, so that it is done only then, and nobody is waited for long.
pub(crate) async fn remove(server: &mut Session, name: &str) -> Result<(), PgError> {
    let quoted = quote_ident(name);
    let room = server.lock_room().await? / PUBLICATION_LOCKS_SHARE;
    let mut left = tables(server, name).await?;
    while left.len() > room {
        for some in left.chunks(PUBLISHED_AT_ONCE) {
            let some: Vec<String> = some.iter().map(TableName::quoted).collect();
            let sql = format!(
                "SET LOCAL lock_timeout = '{LOCK_WAITS}'; {}",
                taken_out(&quoted, &some)
            );
            match server.batch(&sql).await {
                // Locked, or gone or renamed meanwhile: the others go on.
                Err(error) if error.sqlstate().is_some() && !server.is_broken() => {
                    tracing::debug!(%error, "tables stay in the publication for now");
                }
                done => done.map(drop)?,
            }
        }
        let now = tables(server, name).await?;
        if now.len() >= left.len() {
            break;
        }
        left = now;
    }
    let sql = format!("DROP PUBLICATION IF EXISTS {quoted}");
    server.batch(&sql).await.map(drop)
}

/// Puts those of `chosen` that are not in it into a publication of the source.
pub(crate) async fn put_in(
    run: &Run<'_>,
    source: &mut Session,
    name: &str,
    chosen: &BTreeSet<TableName>,
) -> Result<(), Error> {
    let inside = tables(source, name).await.on(Side::Source, DOING)?;
    let inside: BTreeSet<TableName> = inside.into_iter().collect();
    let missing = chosen.iter().filter(|table| !inside.contains(*table));
    let missing: Vec<String> = missing.map(TableName::quoted).collect();
    for some in missing.chunks(PUBLISHED_AT_ONCE) {
        let statement = added(&quote_ident(name), some);
        patiently(run, source, Side::Source, &statement).await?;
    }
    Ok(())
}

/// Takes those of `chosen` that are in it out of a publication of the source.
pub(crate) async fn take_out(
    run: &Run<'_>,
    source: &mut Session,
    name: &str,
    chosen: &BTreeSet<TableName>,
) -> Result<(), Error> {
    let inside = tables(source, name).await.on(Side::Source, DOING)?;
    let inside = inside.iter().filter(|table| chosen.contains(*table));
    let inside: Vec<String> = inside.map(TableName::quoted).collect();
    for some in inside.chunks(PUBLISHED_AT_ONCE) {
        let statement = taken_out(&quote_ident(name), some);
        patiently(run, source, Side::Source, &statement).await?;
    }
    Ok(())
}

/// Sets what a publication publishes to what it is: whoever decodes it forgets what they knew of
/// its tables.
pub(crate) async fn say_again(server: &mut Session, name: &str) -> Result<(), PgError> {
    let sql = "SELECT pg_catalog.concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, \
                      CASE WHEN pubupdate THEN 'update' END, \
                      CASE WHEN pubdelete THEN 'delete' END, \
                      CASE WHEN pubtruncate THEN 'truncate' END) \
               FROM pg_catalog.pg_publication WHERE pubname = $1";
    let operations: String = server.query_one(sql, &[&name]).await?.get(0)?;
    let name = quote_ident(name);
    let sql = format!("ALTER PUBLICATION {name} SET (publish = '{operations}')");
    server.batch(&sql).await.map(drop)
}

/// Whether there is a publication of that name.
pub(crate) async fn exists(server: &mut Session, name: &str) -> Result<bool, PgError> {
    let sql = "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1";
    Ok(server.query_opt(sql, &[&name]).await?.is_some())
}

/// Tables that a publication names.
async fn tables(server: &mut Session, name: &str) -> Result<Vec<TableName>, PgError> {
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_publication p \
               JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid \
               JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE p.pubname = $1";
    let rows = server.query(sql, &[&name]).await?;
    let named = rows.iter().map(|row| {
        let schema: String = row.get(0)?;
        Ok(TableName::new(schema, row.get::<String>(1)?))
    });
    named.collect()
}

fn added(quoted: &str, tables: &[String]) -> String {
    format!("ALTER PUBLICATION {quoted} ADD TABLE {}", listed(tables))
}

fn taken_out(quoted: &str, tables: &[String]) -> String {
    format!("ALTER PUBLICATION {quoted} DROP TABLE {}", listed(tables))
}

fn listed(tables: &[String]) -> String {
    format!("ONLY {}", tables.join(", ONLY "))
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
                .map(|n| TableName::new("s", format!("t{n}")).quoted())
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
