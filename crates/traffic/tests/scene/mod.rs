//! Two servers that each say which they are, and clients that write to the one they reach.

#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};
use trunkline_testkit::{Cluster, until};
use trunkline_traffic::{Address, Addresses};

/// Long enough for a machine that is busy with other servers.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A source and a target with a database `orders`.
pub(crate) struct Sides {
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
}

impl Sides {
    pub(crate) async fn start() -> Sides {
        let sides = Sides {
            source: Cluster::start_any(),
            target: Cluster::start_any(),
        };
        for (cluster, name) in [(&sides.source, "source"), (&sides.target, "target")] {
            let database = cluster.create_database("orders").await;
            let client = trunkline_testkit::connect(&database).await;
            let made = format!(
                "CREATE TABLE side AS SELECT '{name}'::text AS name; \
                 CREATE TABLE written (client int, number int)"
            );
            client.batch_execute(&made).await.expect("it is empty");
        }
        sides
    }

    pub(crate) fn addresses(&self) -> Addresses {
        let address = |cluster: &Cluster| Address {
            host: "127.0.0.1".to_owned(),
            port: cluster.port(),
            database: "orders".to_owned(),
        };
        Addresses {
            source: address(&self.source),
            target: address(&self.target),
        }
    }

    /// How many rows clients have written to the source and to the target.
    pub(crate) async fn written(&self) -> (i64, i64) {
        let mut counts = Vec::new();
        for cluster in [&self.source, &self.target] {
            let client = cluster.client("orders").await;
            let row = client.query_one("SELECT count(*) FROM written", &[]).await;
            counts.push(row.expect("the table is there").get(0));
        }
        (counts[0], counts[1])
    }
}

/// The name of the side that a connection reaches, by the simple protocol, which every
/// pooler passes on; `None` while it does not answer.
pub(crate) async fn side_of(client: &Client) -> Result<String, tokio_postgres::Error> {
    let messages = client.simple_query("SELECT name FROM side").await?;
    let name = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(name.expect("the table has one row"))
}

/// The side that a new connection reaches.
pub(crate) async fn side_behind(uri: &str) -> Option<String> {
    let client = trunkline_testkit::try_connect(uri).await.ok()?;
    side_of(&client).await.ok()
}

/// Clients that insert one row after the other until they are told to stop.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    tasks: tokio::task::JoinSet<Result<i64, tokio_postgres::Error>>,
}

impl Writers {
    pub(crate) fn start(uri: &str, count: i64) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..count {
            tasks.spawn(write(uri.to_owned(), number, Arc::clone(&stop)));
        }
        Writers { stop, tasks }
    }

    /// Lets each finish its statement; how many rows they wrote, and the errors they saw.
    pub(crate) async fn stop(mut self) -> (i64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut written, mut errors) = (0, Vec::new());
        while let Some(ended) = self.tasks.join_next().await {
            match ended.expect("a writer does not panic") {
                Ok(rows) => written += rows,
                Err(error) => errors.push(error.to_string()),
            }
        }
        (written, errors)
    }
}

async fn write(
    uri: String,
    client: i64,
    stop: Arc<AtomicBool>,
) -> Result<i64, tokio_postgres::Error> {
    let (session, connection) = tokio_postgres::connect(&uri, NoTls).await?;
    tokio::spawn(async move { connection.await.ok() });
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let insert = format!("INSERT INTO written VALUES ({client}, {written})");
        session.batch_execute(&insert).await?;
        written += 1;
    }
    Ok(written)
}

/// Waits until a server's clients have written more rows than that.
pub(crate) async fn until_more_than(cluster: &Cluster, rows: i64) {
    let client = cluster.client("orders").await;
    until(DEADLINE, async || {
        let row = client.query_one("SELECT count(*) FROM written", &[]).await;
        row.expect("the table is there").get::<_, i64>(0) > rows
    })
    .await;
}

/// Transactions and statements of other sessions that a server has under way.
pub(crate) async fn under_way(cluster: &Cluster) -> i64 {
    let client = cluster.client("orders").await;
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'orders' \
                AND pid <> pg_backend_pid() AND state <> 'idle'";
    client
        .query_one(busy, &[])
        .await
        .expect("it answers")
        .get(0)
}
