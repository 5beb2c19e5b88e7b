//! The comparison of two whole databases: `trunkline verify` against one hash of every row's
//! text by hand on both sides, with as many sessions.

use std::time::Instant;

use crate::Order;
use crate::contents::tables;
use crate::data::{self, Gin};
use crate::error::{BenchError, Doing};
use crate::measured::{Measured, ServersCpu, measure};
use crate::record::{Bench, Workload};
use crate::servers::{Pair, empty_database, execute, session, uri};
use crate::turns::{Contestant, order as order_of};

const DATABASE: &str = "bench";
/// Sessions on each side.
const JOBS: usize = 2;

/// Runs the bench.
pub(crate) async fn run(order: &Order) -> Result<Bench, BenchError> {
    let mut bench = Bench::new(order).await;
    let pair = Pair::start()?;
    for server in [&pair.source, &pair.target] {
        empty_database(server, DATABASE).await?;
    }
    data::mixed(order, &pair.source, DATABASE, Gin::Without).await?;
    let (from, to) = (uri(&pair.source, DATABASE), uri(&pair.target, DATABASE));
    let folder =
        tempfile::tempdir().map_err(|cause| BenchError::file(&std::env::temp_dir(), cause))?;
    let mut clone = order.tools.trunkline(folder.path());
    clone.args(["clone", "--source", &from, "--target", &to]);
    measure(&pair, &mut clone).await?;
    // Hint bits are written by whoever reads first: not by a contestant.
    execute(&pair.target, DATABASE, "VACUUM").await?;
    let mut contestants = [
        Contestant::new("trunkline verify"),
        Contestant::new("sum(hashtextextended(t::text, 0)) by hand"),
    ];
    for turn in 0..order.pairs {
        for at in order_of(turn, contestants.len()) {
            let measured = if at == 0 {
                let mut verify = order.tools.trunkline(folder.path());
                verify
                    .args(["verify", "--alone", "--no-schema", "--source", &from])
                    .args(["--target", &to, "--jobs", &JOBS.to_string()]);
                measure(&pair, &mut verify).await?
            } else {
                by_hand(&pair).await?
            };
            eprintln!("{}: {:.2} s", contestants[at].name, measured.seconds);
            contestants[at].runs.push(measured);
        }
    }
    let workload = Workload {
        name: "whole database".to_owned(),
        what: format!(
            "About 1.6 GB on either side, quiet, {JOBS} sessions a side. By hand: one \
             `count(*), sum(hashtextextended(t::text, 0))` a table on both sides at once, which \
             is about what pgcopydb's offline comparison does."
        ),
        contestants: contestants.into(),
        figures: Vec::new(),
    };
    bench.add(order, workload)?;
    Ok(bench)
}

/// One hash a table, the largest first, on both sides at once.
async fn by_hand(pair: &Pair) -> Result<Measured, BenchError> {
    let names = tables(&pair.source, DATABASE).await?;
    let servers = ServersCpu::now(pair);
    let began = Instant::now();
    let queue = std::sync::Mutex::new(by_size(pair, names).await?);
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop());
    let work = || async {
        let left = session(&pair.source, DATABASE).await?;
        let right = session(&pair.target, DATABASE).await?;
        while let Some(table) = next() {
            let sql = format!(
                "SELECT count(*)::text || ' ' || sum(hashtextextended(t::text, 0))::text \
                 FROM {table} AS t"
            );
            let (left, right) = tokio::join!(left.query_one(&sql, &[]), right.query_one(&sql, &[]));
            let (left, right) = (left.doing(sql.clone())?, right.doing(sql)?);
            if left.get::<_, Option<String>>(0) != right.get::<_, Option<String>>(0) {
                return Err(BenchError::Unequal {
                    who: "by hand".to_owned(),
                    what: table,
                });
            }
        }
        Ok::<_, BenchError>(())
    };
    tokio::try_join!(work(), work())?;
    let mut measured = Measured {
        seconds: began.elapsed().as_secs_f64(),
        ..Measured::default()
    };
    servers.since(pair, &mut measured);
    Ok(measured)
}

/// The smallest first: taken from the end.
async fn by_size(pair: &Pair, names: Vec<String>) -> Result<Vec<String>, BenchError> {
    let client = session(&pair.source, DATABASE).await?;
    let mut sized = Vec::new();
    for name in names {
        let sql = format!("SELECT pg_table_size('{}')", name.replace('\'', "''"));
        let row = client.query_one(&sql, &[]).await.doing(sql)?;
        sized.push((row.get::<_, i64>(0), name));
    }
    sized.sort();
    Ok(sized.into_iter().map(|(_, name)| name).collect())
}
