//! The data of the benches, made anew for each.

use std::process::Stdio;

use trunkline_sandbox::Server;

use crate::Order;
use crate::error::BenchError;
use crate::servers::{execute, uri};

/// Whether the events' jsonb column has a GIN index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gin {
    Without,
    With,
}

/// pgbench's tables at scale 60, 3,000,000 events with three b-tree indexes, 20,000 wide
/// documents: about 1.6 GB.
pub(crate) async fn mixed(
    order: &Order,
    server: &Server,
    database: &str,
    gin: Gin,
) -> Result<(), BenchError> {
    let scale = order.sized(60, 1);
    pgbench(
        order,
        server,
        database,
        &["--initialize", "--quiet", &format!("--scale={scale}")],
    )
    .await?;
    let sql = include_str!("sql/events.sql")
        .replace("{events}", &order.sized(3_000_000, 20_000).to_string())
        .replace("{documents}", &order.sized(20_000, 200).to_string());
    execute(server, database, &sql).await?;
    if gin == Gin::With {
        let sql = "CREATE INDEX events_payload ON events USING gin (payload)";
        execute(server, database, sql).await?;
    }
    settle(server, database).await
}

/// One table of about 5 GB with its key.
pub(crate) async fn one_table(
    order: &Order,
    server: &Server,
    database: &str,
) -> Result<(), BenchError> {
    let rows = order.sized(20_000_000, 100_000).to_string();
    let sql = include_str!("sql/one_table.sql").replace("{rows}", &rows);
    execute(server, database, &sql).await?;
    settle(server, database).await
}

/// Tables of [`many_tables`].
pub(crate) const MANY: u64 = 200_000;
pub(crate) const MANY_IN_A_TRIAL: u64 = 2_000;

/// Many small tables with a key and a few rows each.
pub(crate) async fn many_tables(
    order: &Order,
    server: &Server,
    database: &str,
) -> Result<(), BenchError> {
    let tables = order.tables;
    // A transaction each: the lock table would not hold all of them in one.
    for from in (0..tables).step_by(1_000) {
        let sql = include_str!("sql/many_tables.sql")
            .replace("{from}", &from.to_string())
            .replace("{to}", &(from + 999).min(tables - 1).to_string());
        execute(server, database, &sql).await?;
    }
    settle(server, database).await
}

/// Statistics, hint bits and a checkpoint: nobody finds work that another left.
async fn settle(server: &Server, database: &str) -> Result<(), BenchError> {
    execute(server, database, "VACUUM ANALYZE").await?;
    execute(server, database, "CHECKPOINT").await
}

/// Runs pgbench on a database, to its end.
pub(crate) async fn pgbench(
    order: &Order,
    server: &Server,
    database: &str,
    arguments: &[&str],
) -> Result<(), BenchError> {
    let failed = |how: String, said: String| BenchError::Program {
        program: format!("pgbench {}", arguments.join(" ")),
        how,
        said,
    };
    let output = order
        .tools
        .postgres("pgbench")
        .args(arguments)
        .arg(uri(server, database))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(error.to_string(), String::new()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(failed(output.status.to_string(), said))
}
