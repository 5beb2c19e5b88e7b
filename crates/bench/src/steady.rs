//! How long a commit takes to be seen on the other side, while clients write at a steady rate.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio_postgres::Client;

use crate::Order;
use crate::apply::{DATABASE, FOLLOWERS, Follower, Followers, too_late};
use crate::backlog::backlogs;
use crate::error::{BenchError, Doing};
use crate::limits::DRAIN_WITHIN;
use crate::processes::{cpu_seconds, memory_bytes};
use crate::record::Workload;
use crate::servers::{session, uri};

/// Transactions a second of the clients beside the probes.
const RATE: u32 = 2_000;
/// Of the rate, what must have been reached for a measurement to be one of this rate.
const LEAST_OF_RATE: f64 = 0.95;
/// Between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// Between two looks at the target: what a delay may be overstated by.
const LOOK: Duration = Duration::from_micros(500);

/// Measures both followers, one after the other.
pub(crate) async fn run(order: &Order) -> Result<Workload, BenchError> {
    let backlogs = backlogs(order);
    let backlog = backlogs.first().ok_or_else(|| too_late("a workload"))?;
    let followers = Followers::prepare(order, backlog).await?;
    let mut figures = Vec::new();
    for (at, follower) in FOLLOWERS.into_iter().enumerate() {
        figures.extend(one(order, &followers, follower, at).await?);
    }
    Ok(Workload {
        name: "steady".to_owned(),
        what: format!(
            "From a commit on the source until it is seen on the target, while pgbench's eight \
             clients make {RATE} transactions a second; a probe every {} ms.",
            PROBE_EVERY.as_millis()
        ),
        contestants: Vec::new(),
        figures,
    })
}

async fn one(
    order: &Order,
    followers: &Followers,
    follower: Follower,
    at: usize,
) -> Result<Vec<(String, String)>, BenchError> {
    let seconds = order.sized(60, 3);
    let source = session(&followers.pair.source, DATABASE).await?;
    let target = session(&followers.pair.target, follower.database()).await?;
    let running = followers.start(order, follower).await?;
    // Far from the drain's markers, and another for each follower.
    let first = 1_000_000 * (i64::try_from(at).unwrap_or_default() + 1);
    probe(&source, &target, first).await?;
    let clients = clients(order, followers, seconds)?;
    let cpu = || running.id().map(cpu_seconds);
    let (before, began) = (cpu(), Instant::now());
    let mut delays = Vec::new();
    let mut peak = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        let number = first + 1 + i64::try_from(delays.len()).unwrap_or_default();
        delays.push(probe(&source, &target, number).await?);
        peak = peak.max(running.id().map_or(0, memory_bytes));
        tokio::time::sleep(PROBE_EVERY).await;
    }
    let took = began.elapsed().as_secs_f64();
    let used = cpu().zip(before).map(|(after, before)| after - before);
    let made = rate_made(clients).await?;
    followers.stop(running).await?;
    let is_rate = made >= LEAST_OF_RATE * f64::from(RATE);
    let short = if is_rate {
        ""
    } else {
        ": **the machine gave no more**"
    };
    let mut figures = vec![(
        format!("{}: transactions a second", follower.name()),
        format!("{made:.0}{short}"),
    )];
    let share = used.map(|used| used / took);
    figures.extend(told(follower.name(), delays, share, peak));
    Ok(figures)
}

/// pgbench, which keeps to the rate as well as the machine allows.
fn clients(order: &Order, followers: &Followers, seconds: u64) -> Result<Child, BenchError> {
    order
        .tools
        .postgres("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--client=8"])
        .arg(format!("--rate={RATE}"))
        .arg(format!("--time={seconds}"))
        .arg(uri(&followers.pair.source, DATABASE))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| BenchError::file(Path::new("pgbench"), cause))
}

/// How many transactions a second pgbench says that it made.
async fn rate_made(clients: Child) -> Result<f64, BenchError> {
    let output = clients.wait_with_output().await;
    let output = output.map_err(|cause| BenchError::file(Path::new("pgbench"), cause))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rate = said.lines().find_map(|line| {
        let (rate, _) = line.strip_prefix("tps = ")?.split_once(' ')?;
        rate.parse().ok()
    });
    match rate {
        Some(rate) if output.status.success() => Ok(rate),
        _ => Err(BenchError::Program {
            program: "pgbench".to_owned(),
            how: output.status.to_string(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

fn told(
    name: &str,
    mut delays: Vec<Duration>,
    share: Option<f64>,
    peak: u64,
) -> Vec<(String, String)> {
    delays.sort();
    let at = |hundredths: usize| {
        let index = (delays.len() * hundredths / 100).min(delays.len().saturating_sub(1));
        let delay = delays.get(index).copied().unwrap_or_default();
        format!("{:.1} ms", delay.as_secs_f64() * 1000.0)
    };
    let mut figures = vec![
        (format!("{name}: median"), at(50)),
        (format!("{name}: 99 of 100"), at(99)),
        (format!("{name}: longest"), at(100)),
        (format!("{name}: probes"), delays.len().to_string()),
    ];
    if let Some(share) = share {
        figures.push((
            format!("{name}: our process, of one core"),
            format!("{:.0} %", share * 100.0),
        ));
        figures.push((format!("{name}: memory"), format!("{} MB", peak >> 20)));
    }
    figures
}

/// Commits one row, and waits until it is seen.
async fn probe(source: &Client, target: &Client, number: i64) -> Result<Duration, BenchError> {
    let doing = "a probe";
    let insert = format!("INSERT INTO public.marker VALUES ({number})");
    source.batch_execute(&insert).await.doing(doing)?;
    let committed = Instant::now();
    let look = format!("SELECT 1 FROM public.marker WHERE turn = {number}");
    let look = target.prepare(&look).await.doing(doing)?;
    while target.query_opt(&look, &[]).await.doing(doing)?.is_none() {
        if committed.elapsed() > DRAIN_WITHIN {
            return Err(too_late("a probe"));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(committed.elapsed())
}
