//! Whether two databases hold the same: what is fast and wrong wins nothing.

use tokio_postgres::Client;
use trunkline_sandbox::Server;

use crate::error::{BenchError, Doing};
use crate::servers::{Pair, session};

/// Compares rows, by count and hash, and the definitions of indexes and constraints.
pub(crate) async fn compare(
    pair: &Pair,
    who: &str,
    source: &str,
    target: &str,
    tables: Option<&[String]>,
) -> Result<(), BenchError> {
    let (left, right) = tokio::try_join!(
        describe(&pair.source, source, tables),
        describe(&pair.target, target, tables)
    )?;
    if left.is_empty() {
        return Err(unequal(who, "nothing was compared"));
    }
    if left == right {
        return Ok(());
    }
    let differing = left.iter().find(|line| !right.contains(line));
    let differing = differing.or_else(|| right.iter().find(|line| !left.contains(line)));
    Err(unequal(who, differing.map_or("an order", String::as_str)))
}

fn unequal(who: &str, what: &str) -> BenchError {
    BenchError::Unequal {
        who: who.to_owned(),
        what: what.to_owned(),
    }
}

/// A line a table with its rows, and a line for each index and constraint.
async fn describe(
    server: &Server,
    database: &str,
    tables: Option<&[String]>,
) -> Result<Vec<String>, BenchError> {
    let client = session(server, database).await?;
    let all = names(&client, include_str!("sql/tables.sql")).await?;
    let mut lines = Vec::new();
    let asked = |name: &&String| tables.is_none_or(|tables| tables.contains(name));
    for table in all.iter().filter(asked) {
        let sql = format!(
            "SELECT count(*)::text || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0)::text \
             FROM {table} AS t"
        );
        let row = client.query_one(&sql, &[]).await.doing(table.clone())?;
        lines.push(format!("{table} {}", row.get::<_, String>(0)));
    }
    if tables.is_none() {
        lines.extend(names(&client, include_str!("sql/definitions.sql")).await?);
    }
    Ok(lines)
}

async fn names(client: &Client, sql: &str) -> Result<Vec<String>, BenchError> {
    let rows = client.query(sql, &[]).await.doing("reading the catalog")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Names of the tables of a database.
pub(crate) async fn tables(server: &Server, database: &str) -> Result<Vec<String>, BenchError> {
    names(
        &session(server, database).await?,
        include_str!("sql/tables.sql"),
    )
    .await
}
