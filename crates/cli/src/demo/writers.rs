//! The shop's clients: they write without pause to the server that their route names, wait
//! while they are held, and remember every commit that a server reported to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trunkline_postgres::{Conninfo, PgError, Session};

/// How long a client waits before it looks again, after a refusal or while it is held.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Where clients are sent: two files that the cutover's hooks write, in the place of a
/// pooler or a name service.
#[derive(Clone, Debug)]
pub(super) struct Route {
    held: PathBuf,
    target: PathBuf,
}

impl Route {
    pub(super) fn new(dir: &Path) -> Self {
        Route {
            held: dir.join("held"),
            target: dir.join("route-to-target"),
        }
    }

    /// The commands that hold, switch and release the clients.
    pub(super) fn hooks(&self) -> [String; 3] {
        let (held, target) = (self.held.display(), self.target.display());
        [
            format!("touch '{held}'"),
            format!("touch '{target}'"),
            format!("rm -f '{held}'"),
        ]
    }

    fn is_held(&self) -> bool {
        self.held.exists()
    }

    fn side(&self) -> usize {
        usize::from(self.target.exists())
    }
}

/// What the clients saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Transactions that a server reported as committed.
    pub(super) committed: AtomicU64,
    /// Attempts that were refused.
    pub(super) refused: AtomicU64,
    /// The longest time in which one client committed nothing, in microseconds.
    longest_gap_micros: AtomicU64,
}

impl Seen {
    /// The longest time in which one client committed nothing.
    pub(super) fn longest_gap(&self) -> Duration {
        Duration::from_micros(self.longest_gap_micros.load(Ordering::Relaxed))
    }

    /// Forgets the longest gap, to measure the next.
    pub(super) fn measure_anew(&self) {
        self.longest_gap_micros.store(0, Ordering::Relaxed);
    }
}

/// The clients.
pub(super) struct Writers {
    tasks: JoinSet<(i64, i64)>,
    stop: CancellationToken,
    pub(super) seen: Arc<Seen>,
}

/// One client: where it writes, and what it remembers.
struct Client {
    number: i64,
    servers: [Conninfo; 2],
    route: Route,
    random: fastrand::Rng,
    seen: Arc<Seen>,
    /// The number of its last entry in the ledger that a server reported as committed.
    committed: i64,
    stop: CancellationToken,
}

impl Writers {
    /// Starts `count` clients of the source and, once they are routed there, the target.
    pub(super) fn start(count: i64, servers: &[Conninfo; 2], route: &Route, seed: u64) -> Self {
        let stop = CancellationToken::new();
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let client = Client {
                number,
                servers: servers.clone(),
                route: route.clone(),
                random: fastrand::Rng::with_seed(seed.wrapping_add(number.cast_unsigned())),
                seen: Arc::clone(&seen),
                committed: 0,
                stop: stop.clone(),
            };
            tasks.spawn(client.run());
        }
        Writers { tasks, stop, seen }
    }

    /// Stops the clients; gives each one's number and the number of ledger entries that it
    /// was told are committed.
    pub(super) async fn stop(mut self) -> Vec<(i64, i64)> {
        self.stop.cancel();
        let mut entries = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            entries.push(ended.expect("a client does not panic"));
        }
        entries
    }
}

impl Client {
    async fn run(mut self) -> (i64, i64) {
        let mut session: Option<(usize, Session)> = None;
        let mut last = Instant::now();
        while !self.stop.is_cancelled() {
            if self.route.is_held() {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            let side = self.route.side();
            let done = match &mut session {
                Some((connected, open)) if *connected == side => self.transaction(open).await,
                _ => match Session::connect(&self.servers[side], "demo client").await {
                    Ok(open) => {
                        session = Some((side, open));
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            if done.is_ok() {
                self.seen.committed.fetch_add(1, Ordering::Relaxed);
                let gap = u64::try_from(last.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.seen
                    .longest_gap_micros
                    .fetch_max(gap, Ordering::Relaxed);
                last = Instant::now();
            } else {
                self.seen.refused.fetch_add(1, Ordering::Relaxed);
                session = None;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        (self.number, self.committed)
    }

    /// One of the shop's transactions, with an entry in the ledger that counts it.
    async fn transaction(&mut self, session: &mut Session) -> Result<(), PgError> {
        let pick = self.random.i64(1..=1000);
        let work = match self.random.u8(0..10) {
            0 => format!(
                "INSERT INTO shop.customers (email, name) VALUES ('w{}.{}@example.org', 'new')",
                self.number,
                self.random.u64(..)
            ),
            1 => format!(
                "UPDATE shop.customers SET name = name || '.', balance = balance + 1 WHERE id = {pick}"
            ),
            2 => format!("UPDATE shop.products SET stock = stock - 1 WHERE sku = 'sku-{pick}'"),
            3 => format!(
                "INSERT INTO shop.orders (placed_at, customer, total) VALUES (now(), {pick}, 1e-300)"
            ),
            4 => format!("UPDATE shop.orders SET state = 'shipped' WHERE id = {pick}"),
            5 => format!(
                "UPDATE shop.documents SET seen = seen + 1 WHERE id = {}",
                1 + pick % 300
            ),
            6 => "INSERT INTO shop.clicks VALUES (now(), '/cart', 'NaN')".to_owned(),
            7 => format!(
                "DELETE FROM shop.clicks WHERE ctid = (SELECT ctid FROM shop.clicks WHERE page = '/p/{}' LIMIT 1)",
                pick % 50
            ),
            8 => format!(
                "DELETE FROM shop.\"Order Items\" WHERE \"order\" = {}",
                pick * 7
            ),
            _ => "SELECT nextval('shop.invoice_numbers')".to_owned(),
        };
        let next = self.committed + 1;
        let writer = self.number;
        // An entry that is there already was committed by a transaction whose answer this
        // client did not get; it is counted once. The savepoint leaves an aborted
        // subtransaction in every transaction.
        let sql = format!(
            "BEGIN; {work}; SAVEPOINT s; \
             UPDATE shop.products SET stock = 0 WHERE sku = 'sku-{writer}'; ROLLBACK TO s; \
             INSERT INTO shop.ledger (writer, number) VALUES ({writer}, {next}) \
             ON CONFLICT (writer, number) DO NOTHING; COMMIT",
        );
        session.batch(&sql).await?;
        self.committed = next;
        Ok(())
    }
}
