//! Tasks that write until they are told to stop, and count what was committed.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::transaction::Transaction;
use crate::cluster::try_connect;

/// Errors kept as text; the rest are only counted.
const ERRORS_KEPT: usize = 50;
/// Between attempts to connect to a server that does not answer.
const RECONNECT_AFTER: Duration = Duration::from_millis(50);

/// What a writer does when its connection is lost or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDisconnect {
    Reconnect,
    End,
}

/// What the writers did; all numbers are complete once [`Writers::stop`] has returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Transactions whose COMMIT the server confirmed.
    pub committed: u64,
    /// Transactions that ended in ROLLBACK as intended.
    pub rolled_back: u64,
    /// Transactions that the server refused (deadlocks and the like): undone, and gone past.
    pub failed: u64,
    /// Connections lost or refused.
    pub disconnects: u64,
    /// COMMITs that were sent and never answered: nobody knows whether they happened.
    pub in_doubt: u64,
    /// The first errors, as text.
    pub errors: Vec<String>,
}

#[derive(Debug, Default)]
struct Counters {
    committed: AtomicU64,
    rolled_back: AtomicU64,
    failed: AtomicU64,
    disconnects: AtomicU64,
    in_doubt: AtomicU64,
    errors: Mutex<Vec<String>>,
}

/// What all writers follow; a change reaches each of them between two transactions.
#[derive(Debug, Clone)]
struct Orders {
    conninfo: String,
    paused: bool,
    stopped: bool,
}

/// Writers that are about to start.
#[derive(Debug, Clone)]
pub struct WritersBuilder {
    conninfo: String,
    tasks: u32,
    seed: u64,
    pause: Duration,
    on_disconnect: OnDisconnect,
}

impl WritersBuilder {
    /// How many write side by side; 4 by default.
    #[must_use]
    pub fn tasks(mut self, tasks: u32) -> Self {
        self.tasks = tasks;
        self
    }

    /// The seed; `$TRUNKLINE_SEED`, else a random one, by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long each rests between two transactions; not at all by default.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Lets a writer connect again after it lost its connection, and go on.
    #[must_use]
    pub fn reconnecting(mut self) -> Self {
        self.on_disconnect = OnDisconnect::Reconnect;
        self
    }

    /// Starts writing; the seed is printed.
    pub fn start(self) -> Writers {
        eprintln!("writers: seed {} (TRUNKLINE_SEED)", self.seed);
        let orders = watch::Sender::new(Orders {
            conninfo: self.conninfo,
            paused: false,
            stopped: false,
        });
        let counters = Arc::new(Counters::default());
        let mut tasks = JoinSet::new();
        for number in 0..self.tasks {
            let writer = Writer {
                rng: Rng::with_seed(self.seed ^ (u64::from(number) << 32)),
                orders: orders.subscribe(),
                counters: Arc::clone(&counters),
                pause: self.pause,
                on_disconnect: self.on_disconnect,
            };
            tasks.spawn(writer.run());
        }
        Writers {
            orders,
            counters,
            tasks,
            seed: self.seed,
        }
    }
}

/// Tasks that write to a shop (see [`super::create`]) until they are stopped or dropped.
#[derive(Debug)]
pub struct Writers {
    orders: watch::Sender<Orders>,
    counters: Arc<Counters>,
    tasks: JoinSet<()>,
    seed: u64,
}

impl Writers {
    /// Writers to a database that holds a shop.
    pub fn to(conninfo: &str) -> WritersBuilder {
        let from_environment = env::var("TRUNKLINE_SEED").ok();
        WritersBuilder {
            conninfo: conninfo.to_owned(),
            tasks: 4,
            seed: from_environment
                .and_then(|text| text.parse().ok())
                .unwrap_or_else(|| fastrand::u64(..)),
            pause: Duration::ZERO,
            on_disconnect: OnDisconnect::End,
        }
    }

    /// The seed of all that they do.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Transactions confirmed so far.
    pub fn committed(&self) -> u64 {
        self.counters.committed.load(Ordering::SeqCst)
    }

    /// Lets them write to another server; each connects there before its next transaction.
    pub fn point_at(&self, conninfo: &str) {
        self.orders
            .send_modify(|orders| conninfo.clone_into(&mut orders.conninfo));
    }

    /// Holds them between two transactions; their connections stay.
    pub fn pause(&self) {
        self.orders.send_modify(|orders| orders.paused = true);
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.orders.send_modify(|orders| orders.paused = false);
    }

    /// Ends each after its current transaction, and tells what they did.
    pub async fn stop(mut self) -> Outcome {
        self.orders.send_modify(|orders| orders.stopped = true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a writer does not panic");
        }
        self.counters.outcome()
    }

    /// What they did so far.
    pub fn outcome(&self) -> Outcome {
        self.counters.outcome()
    }
}

impl Counters {
    fn outcome(&self) -> Outcome {
        Outcome {
            committed: self.committed.load(Ordering::SeqCst),
            rolled_back: self.rolled_back.load(Ordering::SeqCst),
            failed: self.failed.load(Ordering::SeqCst),
            disconnects: self.disconnects.load(Ordering::SeqCst),
            in_doubt: self.in_doubt.load(Ordering::SeqCst),
            errors: self.kept_errors().clone(),
        }
    }

    fn keep(&self, error: &tokio_postgres::Error) {
        let mut errors = self.kept_errors();
        if errors.len() < ERRORS_KEPT {
            errors.push(crate::cluster::with_causes(error));
        }
    }

    fn kept_errors(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

struct Writer {
    rng: Rng,
    orders: watch::Receiver<Orders>,
    counters: Arc<Counters>,
    pause: Duration,
    on_disconnect: OnDisconnect,
}

impl Writer {
    async fn run(mut self) {
        let mut session: Option<(String, Client)> = None;
        loop {
            // An error means that the `Writers` were dropped.
            let go = |orders: &Orders| orders.stopped || !orders.paused;
            let Ok(orders) = self.orders.wait_for(go).await.map(|now| now.clone()) else {
                return;
            };
            if orders.stopped {
                return;
            }
            session = session.filter(|(conninfo, _)| *conninfo == orders.conninfo);
            if session.is_none() {
                session = self.connect(&orders.conninfo).await;
            }
            let lost = match &session {
                Some((_, client)) => !self.write(client).await,
                None => true,
            };
            if lost {
                count(&self.counters.disconnects);
                session = None;
                if self.on_disconnect == OnDisconnect::End {
                    return;
                }
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    async fn connect(&self, conninfo: &str) -> Option<(String, Client)> {
        match try_connect(conninfo).await {
            Ok(client) => Some((conninfo.to_owned(), client)),
            Err(error) => {
                self.counters.keep(&error);
                None
            }
        }
    }

    /// Runs one transaction; whether the connection is still good.
    async fn write(&mut self, client: &Client) -> bool {
        let transaction = Transaction::random(&mut self.rng);
        let begun = client.batch_execute("BEGIN").await;
        let mut result = begun;
        for statement in &transaction.statements {
            if result.is_ok() {
                result = client.batch_execute(statement).await;
            }
        }
        if let Err(error) = result {
            return self.undo(client, &error).await;
        }
        let (end, counter) = if transaction.rolls_back {
            ("ROLLBACK", &self.counters.rolled_back)
        } else {
            ("COMMIT", &self.counters.committed)
        };
        match client.batch_execute(end).await {
            Ok(()) => count(counter),
            Err(error) if was_refused(&error) => return self.undo(client, &error).await,
            Err(error) => {
                if !transaction.rolls_back {
                    count(&self.counters.in_doubt);
                }
                self.counters.keep(&error);
                return false;
            }
        }
        true
    }

    /// Gives up a transaction that was refused; whether the connection is still good.
    async fn undo(&self, client: &Client, error: &tokio_postgres::Error) -> bool {
        self.counters.keep(error);
        if !was_refused(error) {
            return false;
        }
        count(&self.counters.failed);
        client.batch_execute("ROLLBACK").await.is_ok()
    }
}

/// Whether the server answered with an error and keeps the session: then nothing was committed.
fn was_refused(error: &tokio_postgres::Error) -> bool {
    let ends_the_session = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ];
    error
        .code()
        .is_some_and(|code| !ends_the_session.contains(code))
}
