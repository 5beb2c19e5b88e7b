//! Clients behind a pooler while they are moved there and back, again and again: no error, no
//! loss, nothing twice, and how long each of them waited. `TRUNKLINE_ROUNDS` says how often.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::{Client, SimpleQueryMessage};
use trunkline_testkit::front::{Envoy, Haproxy, PgBouncer};
use trunkline_testkit::{
    any_major, skip_unless_available, skip_unless_installed, try_connect, until,
};

use crate::scene::{DATABASE, Scene};

const CLIENTS: i64 = 20;
/// Between two transactions of a client: 20 clients make 1,000 a second.
const PERIOD: Duration = Duration::from_millis(20);

const LEDGER: &str = "CREATE SEQUENCE public.numbers; \
     CREATE TABLE public.ledger (number bigint PRIMARY KEY DEFAULT nextval('public.numbers'), \
                                 client bigint NOT NULL, entry bigint NOT NULL); \
     CREATE TABLE public.accounts (id bigint PRIMARY KEY, balance bigint NOT NULL); \
     INSERT INTO public.accounts SELECT n, 0 FROM generate_series(1, 1000) AS n; \
     GRANT ALL ON ALL TABLES IN SCHEMA public TO shopper; \
     GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO shopper";

/// The application's role: unlike a superuser's, its sessions cannot reach the side that does
/// not serve.
const ROLE: &str = "CREATE ROLE shopper LOGIN";

fn as_shopper(uri: &str) -> String {
    uri.replace("postgres@", "shopper@")
}

/// What one client was told.
#[derive(Debug, Default)]
struct Journal {
    /// Numbers of entries whose commit was confirmed.
    committed: Vec<i64>,
    /// Errors, with whether a commit may have happened unseen.
    errors: Vec<String>,
}

/// Clients that write until they are told to stop.
struct Crowd {
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    /// The longest that a transaction took since it was last asked for, in microseconds.
    longest: Arc<AtomicU64>,
    tasks: JoinSet<Journal>,
}

/// Whether a client that is thrown out ends or comes again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// An error is the end, and the test's.
    Held,
    /// A lost connection is made again.
    Cut,
}

impl Crowd {
    fn start(uri: &str, nature: Nature) -> Crowd {
        let mut crowd = Crowd {
            stop: Arc::default(),
            committed: Arc::default(),
            longest: Arc::default(),
            tasks: JoinSet::new(),
        };
        for number in 0..CLIENTS {
            let member = Member {
                uri: uri.to_owned(),
                number,
                nature,
                stop: Arc::clone(&crowd.stop),
                committed: Arc::clone(&crowd.committed),
                longest: Arc::clone(&crowd.longest),
            };
            crowd.tasks.spawn(member.write());
        }
        crowd
    }

    /// Waits until so many more were committed.
    async fn has_written(&self, more: u64) {
        let goal = self.committed.load(Ordering::SeqCst) + more;
        until(Duration::from_mins(1), async || {
            self.committed.load(Ordering::SeqCst) >= goal
        })
        .await;
    }

    /// The longest that a client waited since the last call.
    fn longest_wait(&self) -> Duration {
        Duration::from_micros(self.longest.swap(0, Ordering::SeqCst))
    }

    async fn stop(mut self) -> Journal {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Journal::default();
        while let Some(ended) = self.tasks.join_next().await {
            let journal = ended.expect("a client does not panic");
            all.committed.extend(journal.committed);
            all.errors.extend(journal.errors);
        }
        all
    }
}

struct Member {
    uri: String,
    number: i64,
    nature: Nature,
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    longest: Arc<AtomicU64>,
}

impl Member {
    async fn write(self) -> Journal {
        let mut journal = Journal::default();
        let mut session = None;
        let mut entry = 0_i64;
        // Of a client that was cut: since when it has not been served.
        let mut unserved: Option<Instant> = None;
        while !self.stop.load(Ordering::SeqCst) {
            let began = Instant::now();
            entry += 1;
            match self.transact(&mut session, entry).await {
                Ok(number) => {
                    journal.committed.push(number);
                    self.committed.fetch_add(1, Ordering::SeqCst);
                    let waited = unserved.take().unwrap_or(began).elapsed();
                    let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
                    self.longest.fetch_max(micros, Ordering::SeqCst);
                }
                Err(error) => {
                    journal.errors.push(error);
                    session = None;
                    unserved.get_or_insert(began);
                    if self.nature == Nature::Held {
                        return journal;
                    }
                }
            }
            tokio::time::sleep(PERIOD.saturating_sub(began.elapsed())).await;
        }
        journal
    }

    /// One transaction by the simple protocol; the entry's number once it is committed.
    async fn transact(&self, session: &mut Option<Client>, entry: i64) -> Result<i64, String> {
        if session.is_none() {
            let connected = try_connect(&self.uri).await;
            *session = Some(connected.map_err(|error| format!("{error:?}"))?);
        }
        let client = session.as_ref().ok_or("not connected")?;
        let account = (self.number * 37 + entry) % 1000 + 1;
        let sql = format!(
            "UPDATE public.accounts SET balance = balance + 1 WHERE id = {account}; \
             INSERT INTO public.ledger (client, entry) VALUES ({}, {entry}) RETURNING number",
            self.number
        );
        let answers = client.simple_query(&sql).await;
        let answers = answers.map_err(|error| format!("{error:?}"))?;
        let number = answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        number.ok_or_else(|| "no number was given".to_owned())
    }
}

fn rounds() -> usize {
    let given = std::env::var("TRUNKLINE_ROUNDS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(2)
}

async fn numbers(client: &Client) -> Vec<i64> {
    let rows = client
        .query("SELECT number FROM public.ledger ORDER BY number", &[])
        .await
        .expect("the ledger can be read");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Everything that was confirmed is there once, and the accounts agree with the ledger.
async fn assert_nothing_lost(client: &Client, journal: &Journal) {
    let told: BTreeSet<i64> = journal.committed.iter().copied().collect();
    assert_eq!(
        told.len(),
        journal.committed.len(),
        "a sequence gave a number twice"
    );
    let there: BTreeSet<i64> = numbers(client).await.into_iter().collect();
    let lost: Vec<&i64> = told.difference(&there).take(10).collect();
    assert!(lost.is_empty(), "confirmed and not there: {lost:?}");
    let row = client
        .query_one(
            "SELECT (SELECT sum(balance) FROM public.accounts)::bigint, \
                    (SELECT count(*) FROM public.ledger)",
            &[],
        )
        .await
        .expect("both can be read");
    let (balance, entries): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(balance, entries, "a transaction is there in part");
}

/// A session beside the pooler, in a transaction that reads.
async fn long_reader(scene: &Scene, on_source: bool) -> Client {
    let client = if on_source {
        scene.on_source().await
    } else {
        scene.on_target().await
    };
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM public.ledger")
        .await
        .expect("it reads");
    client
}

/// There and back, as often as asked for; how long clients waited each time.
async fn switch_to_and_fro(scene: &Scene, crowd: &Crowd) -> Vec<Duration> {
    let mut waits = Vec::new();
    for round in 0..rounds() {
        for command in ["cutover", "rollback"] {
            let _reader = long_reader(scene, command == "cutover").await;
            crowd.has_written(300).await;
            crowd.longest_wait();
            let report = scene.done(&[command, "--json"]).await.json();
            let pause = report["pause_ms"].as_f64().unwrap_or_default();
            crowd.has_written(300).await;
            let wait = crowd.longest_wait();
            eprintln!("round {round}, {command}: clients waited {wait:?}, reported {pause:.0} ms");
            waits.push(wait);
        }
    }
    waits.sort();
    eprintln!(
        "clients waited {:?} in the median, {:?} at most, in {} switches",
        waits[waits.len() / 2],
        waits[waits.len() - 1],
        waits.len()
    );
    waits
}

async fn ready() -> Scene {
    let scene = Scene::new(any_major(), any_major()).await;
    scene.target.psql("postgres", ROLE);
    scene.with(ROLE).with(LEDGER)
}

fn pooled(bouncer: &PgBouncer) -> String {
    format!(
        "[cutover]\ntraffic = {{ kind = \"pgbouncer\", admin = \"{}\", config = \"{}\", \
         database = \"{DATABASE}\" }}\n",
        bouncer.console("admin"),
        bouncer.config().display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_a_pooler_see_no_error_and_lose_nothing_however_often_they_are_moved() {
    skip_unless_available!(any_major());
    skip_unless_installed!("pgbouncer");
    let mut scene = ready().await;
    let line = format!(
        "{DATABASE} = host=127.0.0.1 port={} dbname={DATABASE} pool_size=20 user=shopper\n",
        scene.source.port()
    );
    let bouncer = PgBouncer::start(&line, "max_client_conn = 200");
    let plan = pooled(&bouncer);
    scene.plan(&plan);
    let crowd = Crowd::start(&bouncer.uri(DATABASE), Nature::Held);
    let mut following = scene.start(&["run"]);
    following.must_say("== verified").await;
    switch_to_and_fro(&scene, &crowd).await;
    let journal = crowd.stop().await;
    assert_eq!(journal.errors, Vec::<String>::new());
    assert_nothing_lost(&scene.on_source().await, &journal).await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    assert_nothing_lost(&scene.on_target().await, &journal).await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
    scene.assert_nothing_of_ours().await;
}

/// Where sessions are cut instead of held: connection errors only, and nothing that was
/// confirmed is lost.
async fn cut_and_lose_nothing(scene: Scene, uri: &str) {
    let crowd = Crowd::start(uri, Nature::Cut);
    let mut following = scene.start(&["run"]);
    following.must_say("== verified").await;
    switch_to_and_fro(&scene, &crowd).await;
    let journal = crowd.stop().await;
    let strange: Vec<&String> = journal
        .errors
        .iter()
        .filter(|error| !is_of_the_connection(error))
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
    assert_nothing_lost(&scene.on_source().await, &journal).await;
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    assert_nothing_lost(&scene.on_target().await, &journal).await;
    scene.done(&["complete"]).await;
    following.ended().await.expect_code(0);
}

/// The connection was refused, ended or closed; not a statement that was refused.
fn is_of_the_connection(error: &str) -> bool {
    [
        "Closed", "Io", "connect", "57P01", "57P03", "55000", "53300", "closed",
    ]
    .iter()
    .any(|part| error.contains(part))
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_envoy_are_cut_and_lose_nothing() {
    skip_unless_available!(any_major());
    skip_unless_installed!("envoy");
    let mut scene = ready().await;
    let envoy = Envoy::start(scene.source.port());
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"envoy\", admin = \"{}\", endpoints = {}, \
         listeners = {}, cluster = \"pg\" }}\n",
        envoy.admin(),
        quoted(&envoy.endpoints()),
        quoted(&envoy.listeners()),
    ));
    let uri = as_shopper(&envoy.uri(DATABASE));
    cut_and_lose_nothing(scene, &uri).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_haproxy_are_cut_and_lose_nothing() {
    skip_unless_available!(any_major());
    skip_unless_installed!("haproxy");
    let mut scene = ready().await;
    let haproxy = Haproxy::start(scene.source.port(), "admin");
    scene.plan(&format!(
        "[cutover]\ntraffic = {{ kind = \"haproxy\", socket = {}, server = \"pg/db\" }}\n",
        quoted(&haproxy.socket()),
    ));
    let uri = as_shopper(&haproxy.uri(DATABASE));
    cut_and_lose_nothing(scene, &uri).await;
}
