//! Clients that write through whatever stands before the servers, and what each of them was
//! told: what was confirmed must be there once, wherever the clients were moved meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::{Client, SimpleQueryMessage};
use trunkline_testkit::{try_connect, until};

use super::Scene;
use super::program::PATIENCE;

const CLIENTS: i64 = 20;
/// Between two transactions of a client: 20 clients make 1,000 a second.
const PERIOD: Duration = Duration::from_millis(20);

/// What clients are on the servers: unlike a superuser's, an ordinary role's sessions cannot
/// reach the side that does not serve.
pub(crate) const ROLE: &str = "app";
const RIGHTS: &str = "GRANT SELECT, INSERT, UPDATE ON public.ledger, public.accounts TO app; \
                      GRANT USAGE ON SEQUENCE public.numbers TO app";
const LEDGER: &str = "CREATE SEQUENCE public.numbers; \
     CREATE TABLE public.ledger (number bigint PRIMARY KEY DEFAULT nextval('public.numbers'), \
                                 client bigint NOT NULL, entry bigint NOT NULL); \
     CREATE TABLE public.accounts (id bigint PRIMARY KEY, balance bigint NOT NULL); \
     INSERT INTO public.accounts SELECT n, 0 FROM generate_series(1, 1000) AS n";

/// Makes the role on both servers, and the ledger on the source.
pub(crate) fn ledger(scene: Scene) -> Scene {
    for cluster in [&scene.source, &scene.target] {
        cluster.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN"));
    }
    scene.with(LEDGER).with(RIGHTS)
}

/// A URI of theirs.
pub(crate) fn as_client(uri: &str) -> String {
    uri.replace("postgres@", "app@")
}

/// What one client was told.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Numbers of entries whose commit was confirmed.
    pub(crate) committed: Vec<i64>,
    /// Errors, with whether a commit may have happened unseen.
    pub(crate) errors: Vec<String>,
}

/// Clients that write until they are told to stop.
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    /// The longest that a transaction took since it was last asked for, in microseconds.
    longest: Arc<AtomicU64>,
    tasks: JoinSet<Journal>,
}

/// Whether a client that is thrown out ends or comes again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// An error is the end, and the test's.
    Held,
    /// A lost connection is made again.
    Cut,
}

impl Crowd {
    pub(crate) fn start(uri: &str, nature: Nature) -> Crowd {
        Self::of(CLIENTS, uri, nature)
    }

    /// As many as that: where it is not about load.
    pub(crate) fn of(clients: i64, uri: &str, nature: Nature) -> Crowd {
        let mut crowd = Crowd {
            stop: Arc::default(),
            committed: Arc::default(),
            longest: Arc::default(),
            tasks: JoinSet::new(),
        };
        for number in 0..clients {
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

    /// Transactions confirmed so far.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::SeqCst)
    }

    /// Waits until so many more were committed.
    pub(crate) async fn has_written(&self, more: u64) {
        let goal = self.committed.load(Ordering::SeqCst) + more;
        until(Duration::from_mins(1), async || {
            self.committed.load(Ordering::SeqCst) >= goal
        })
        .await;
    }

    /// The longest that a client waited since the last call.
    pub(crate) fn longest_wait(&self) -> Duration {
        Duration::from_micros(self.longest.swap(0, Ordering::SeqCst))
    }

    pub(crate) async fn stop(mut self) -> Journal {
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
        let answers = tokio::time::timeout(PATIENCE, client.simple_query(&sql)).await;
        let answers = answers.map_err(|_| "Closed: no answer for a long time".to_owned())?;
        let answers = answers.map_err(|error| format!("{error:?}"))?;
        let number = answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        number.ok_or_else(|| "no number was given".to_owned())
    }
}

async fn numbers(client: &Client) -> Vec<i64> {
    let rows = client
        .query("SELECT number FROM public.ledger ORDER BY number", &[])
        .await
        .expect("the ledger can be read");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Everything that was confirmed is there once, and the accounts agree with the ledger.
pub(crate) async fn assert_nothing_lost(client: &Client, journal: &Journal) {
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

/// The connection was refused, ended or closed; not a statement that was refused.
pub(crate) fn is_of_the_connection(error: &str) -> bool {
    [
        "Closed", "Io", "connect", "57P01", "57P03", "55000", "53300", "closed",
    ]
    .iter()
    .any(|part| error.contains(part))
}
