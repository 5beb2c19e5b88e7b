//! The pause that clients see: 20 of them write 1,000 transactions a second through PgBouncer
//! while they are moved there and back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use trunkline_testkit::front::PgBouncer;

use crate::Order;
use crate::error::{BenchError, Doing};
use crate::limits::POLL_EVERY;
use crate::measured::measure;
use crate::record::{Bench, Workload};
use crate::servers::{Pair, empty_database, execute, uri};
use crate::turns::median;

const DATABASE: &str = "bench";
const CLIENTS: u64 = 20;
/// 20 clients with a transaction each 20 ms are 1,000 a second.
const PERIOD: Duration = Duration::from_millis(20);
/// Transactions before a switch and after it, so that it happens amid writes.
const AMID: u64 = 1_000;

/// Runs the bench.
pub(crate) async fn run(order: &Order) -> Result<Bench, BenchError> {
    if trunkline_sandbox::component_program("pgbouncer").is_none() {
        return Err(BenchError::Missing {
            name: "PgBouncer".to_owned(),
            hint: "apt-get install pgbouncer",
        });
    }
    let mut bench = Bench::new(order).await;
    let pair = Pair::start()?;
    set_up(&pair).await?;
    let folder =
        tempfile::tempdir().map_err(|cause| BenchError::file(&std::env::temp_dir(), cause))?;
    let bouncer = pooler(&pair);
    write_plan(folder.path(), &pair, &bouncer)?;
    let crowd = Crowd::start(&bouncer.uri(DATABASE));
    let run = |words: &'static [&'static str]| {
        let mut command = order.tools.trunkline(folder.path());
        command
            .args(words)
            .env("BENCH_PASSWORD", "secret")
            .args(["--source", &uri(&pair.source, DATABASE)])
            .args(["--target", &uri(&pair.target, DATABASE)]);
        command
    };
    measure(&pair, &mut run(&["run", "--until", "verified"])).await?;
    let mut waits = Vec::new();
    for turn in 0..order.pairs {
        for words in [&["cutover"][..], &["rollback"][..]] {
            crowd.writes(AMID).await?;
            crowd.longest_wait();
            measure(&pair, &mut run(words)).await?;
            crowd.writes(AMID).await?;
            let wait = crowd.longest_wait();
            eprintln!(
                "turn {turn}: {} {:.0} ms",
                words[0],
                wait.as_secs_f64() * 1000.0
            );
            waits.push(wait.as_secs_f64() * 1000.0);
        }
    }
    crowd.stop().await?;
    bench.add(order, told(waits))?;
    Ok(bench)
}

fn told(waits: Vec<f64>) -> Workload {
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let list: Vec<String> = waits.iter().map(|wait| format!("{wait:.0}")).collect();
    Workload {
        name: "pause".to_owned(),
        what: "What the client that waited longest saw, from its statement to its answer, while \
               20 clients at 1,000 transactions a second through PgBouncer (transaction pooling) \
               were moved to the target and back. None of them may see an error."
            .to_owned(),
        contestants: Vec::new(),
        figures: vec![
            ("switches".to_owned(), waits.len().to_string()),
            ("each".to_owned(), format!("{} ms", list.join(", "))),
            ("longest".to_owned(), format!("{longest:.0} ms")),
            ("median".to_owned(), format!("{:.0} ms", median(waits))),
        ],
    }
}

async fn set_up(pair: &Pair) -> Result<(), BenchError> {
    for server in [&pair.source, &pair.target] {
        empty_database(server, DATABASE).await?;
        execute(server, "postgres", "CREATE ROLE app LOGIN").await?;
    }
    execute(&pair.source, DATABASE, include_str!("sql/accounts.sql")).await
}

fn pooler(pair: &Pair) -> PgBouncer {
    let port = pair.source.port();
    let line = format!(
        "{DATABASE} = host=127.0.0.1 port={port} dbname={DATABASE} user=app pool_size=20\n"
    );
    PgBouncer::start(&line, "max_client_conn = 200")
}

fn write_plan(folder: &Path, pair: &Pair, bouncer: &PgBouncer) -> Result<(), BenchError> {
    let path = folder.join("trunkline.toml");
    let text = format!(
        "[cutover]\ntraffic = {{ kind = \"pgbouncer\", admin = \"{}\", password_env = \
         \"BENCH_PASSWORD\", config = \"{}\", database = \"{DATABASE}\", \
         source = \"127.0.0.1:{}/{DATABASE}\", target = \"127.0.0.1:{}/{DATABASE}\" }}\n",
        bouncer.console("admin"),
        bouncer.config().display(),
        pair.source.port(),
        pair.target.port(),
    );
    std::fs::write(&path, text).map_err(|cause| BenchError::file(&path, cause))
}

/// Clients that write until they are told to stop; an error of any of them ends the bench.
struct Crowd {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<(), BenchError>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    failed: AtomicBool,
    committed: AtomicU64,
    /// In microseconds.
    longest: AtomicU64,
}

impl Crowd {
    fn start(uri: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for number in 0..CLIENTS {
            tasks.spawn(client(uri.to_owned(), number, Arc::clone(&shared)));
        }
        Crowd { shared, tasks }
    }

    /// Waits for so many more transactions.
    async fn writes(&self, more: u64) -> Result<(), BenchError> {
        let goal = self.shared.committed.load(Ordering::SeqCst) + more;
        while self.shared.committed.load(Ordering::SeqCst) < goal {
            if self.shared.failed.load(Ordering::SeqCst) {
                return Err(BenchError::Unequal {
                    who: "a client".to_owned(),
                    what: "it saw an error".to_owned(),
                });
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// Since the last call.
    fn longest_wait(&self) -> Duration {
        Duration::from_micros(self.shared.longest.swap(0, Ordering::SeqCst))
    }

    async fn stop(mut self) -> Result<(), BenchError> {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

async fn client(uri: String, number: u64, shared: Arc<Shared>) -> Result<(), BenchError> {
    let written = write(&uri, number, &shared).await;
    if written.is_err() {
        shared.failed.store(true, Ordering::SeqCst);
    }
    written
}

async fn write(uri: &str, number: u64, shared: &Shared) -> Result<(), BenchError> {
    let client = trunkline_testkit::try_connect(uri)
        .await
        .doing("a client")?;
    let mut entry = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        let began = Instant::now();
        entry += 1;
        let account = (number * 37 + entry) % 1000 + 1;
        let sql = format!(
            "UPDATE public.accounts SET balance = balance + 1 WHERE id = {account}; \
             INSERT INTO public.ledger (client, entry) VALUES ({number}, {entry})"
        );
        client.simple_query(&sql).await.doing("a client's write")?;
        shared.committed.fetch_add(1, Ordering::SeqCst);
        let waited = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        shared.longest.fetch_max(waited, Ordering::SeqCst);
        tokio::time::sleep(PERIOD.saturating_sub(began.elapsed())).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_hold_the_longest_and_the_median() {
        let workload = told(vec![100.0, 300.0, 200.0]);
        let figure = |name: &str| {
            let found = workload.figures.iter().find(|(what, _)| what == name);
            found.map(|(_, value)| value.clone())
        };
        assert_eq!(figure("longest").as_deref(), Some("300 ms"));
        assert_eq!(figure("median").as_deref(), Some("200 ms"));
    }
}
