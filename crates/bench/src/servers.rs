//! The two servers of a bench: durable, with settings that a server of this size would have.

use tokio_postgres::Client;
use trunkline_sandbox::{Installation, Server};

use crate::error::{BenchError, Doing};

/// The version that the figures of docs/benchmarks.md are of; another one if it is not there.
const MAJOR: u32 = 15;

/// What differs from PostgreSQL's defaults.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("jit", "on"),
    ("shared_buffers", "2GB"),
    ("maintenance_work_mem", "512MB"),
    ("work_mem", "64MB"),
    ("effective_cache_size", "8GB"),
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "30min"),
    ("wal_level", "logical"),
    ("max_connections", "200"),
];

/// Source and target of a bench.
pub(crate) struct Pair {
    pub(crate) source: Server,
    pub(crate) target: Server,
}

/// The installation whose servers are used.
pub(crate) fn installation() -> Result<Installation, BenchError> {
    Installation::of_major(MAJOR)
        .or_else(Installation::newest)
        .ok_or_else(|| BenchError::Missing {
            name: "PostgreSQL".to_owned(),
            hint: "apt-get install postgresql",
        })
}

impl Pair {
    pub(crate) fn start() -> Result<Self, BenchError> {
        Self::start_with(&[])
    }

    /// With settings beside [`SETTINGS`], for a workload that says so.
    pub(crate) fn start_with(more: &[(&str, &str)]) -> Result<Self, BenchError> {
        let start = || {
            let builder = Server::builder(&installation()?);
            let with = |builder: trunkline_sandbox::ServerBuilder, (name, value): &(&str, &str)| {
                builder.setting(name, value)
            };
            Ok::<_, BenchError>(SETTINGS.iter().chain(more).fold(builder, with).start()?)
        };
        Ok(Pair {
            source: start()?,
            target: start()?,
        })
    }
}

/// How a database is reached, as a URI.
pub(crate) fn uri(server: &Server, database: &str) -> String {
    trunkline_testkit::uri_at(server.port(), database)
}

/// A session.
pub(crate) async fn session(server: &Server, database: &str) -> Result<Client, BenchError> {
    let client = trunkline_testkit::try_connect(&uri(server, database)).await;
    client.doing(format!("connecting to {database}"))
}

/// Runs statements in a session of their own.
pub(crate) async fn execute(server: &Server, database: &str, sql: &str) -> Result<(), BenchError> {
    let client = session(server, database).await?;
    let shown: String = sql.chars().take(80).collect();
    client.batch_execute(sql).await.doing(shown)
}

/// An empty database of that name, in place of one that may be there.
pub(crate) async fn empty_database(server: &Server, name: &str) -> Result<(), BenchError> {
    let client = session(server, "postgres").await?;
    let statements = [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name}"),
        "CHECKPOINT".to_owned(),
    ];
    for sql in statements {
        client.batch_execute(&sql).await.doing(sql)?;
    }
    Ok(())
}
