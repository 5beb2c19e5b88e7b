//! A TCP proxy in front of one server that fails on demand, while it runs.
//!
//! Faults are a state (slow, frozen, deaf in one direction, refusing), changed by methods that
//! return at once, except [`FaultyProxy::cut`], which is an event: it ends every connection.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use trunkline_sandbox::free_port;

use crate::cluster::{ok, uri_at};

const BUFFER_BYTES: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What is wrong with the network at the moment.
#[derive(Debug, Clone, Default)]
struct Faults {
    frozen: bool,
    refusing: bool,
    delay: Duration,
    bytes_per_second: Option<u64>,
    lost: Option<Direction>,
    /// Counts the cuts: a connection ends when this changes.
    cuts: u64,
    server_port: u16,
}

/// Bytes that passed, and what is left until a cut that was ordered in advance.
#[derive(Debug)]
struct Meter {
    to_server: AtomicU64,
    to_client: AtomicU64,
    /// `u64::MAX` when no cut is ordered.
    cut_at_to_client: AtomicU64,
    connections: AtomicU64,
}

/// A proxy between clients and one server of this machine.
#[derive(Debug)]
pub struct FaultyProxy {
    port: u16,
    faults: Arc<watch::Sender<Faults>>,
    meter: Arc<Meter>,
    acceptor: JoinHandle<()>,
}

impl FaultyProxy {
    /// Starts a proxy that forwards everything to a port of 127.0.0.1.
    pub async fn start(server_port: u16) -> Self {
        let (listener, port) = listen().await;
        let faults = Arc::new(watch::Sender::new(Faults {
            server_port,
            ..Faults::default()
        }));
        let meter = Arc::new(Meter {
            to_server: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
            cut_at_to_client: AtomicU64::new(u64::MAX),
            connections: AtomicU64::new(0),
        });
        let acceptor = tokio::spawn(accept(listener, port, Arc::clone(&faults), meter.clone()));
        Self {
            port,
            faults,
            meter,
            acceptor,
        }
    }

    /// The port on 127.0.0.1 where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How clients reach a database through the proxy.
    pub fn uri(&self, database: &str) -> String {
        uri_at(self.port, database)
    }

    /// How many connections were made to the server so far.
    pub fn connections(&self) -> u64 {
        self.meter.connections.load(Ordering::SeqCst)
    }

    /// How many bytes were forwarded so far.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.meter.passed(direction).load(Ordering::SeqCst)
    }

    /// Sends new connections to another server.
    pub fn point_at(&self, server_port: u16) {
        self.change(|faults| faults.server_port = server_port);
    }

    /// Stops all bytes; connections stay open, and new ones are taken and get no answer.
    pub fn freeze(&self) {
        self.change(|faults| faults.frozen = true);
    }

    /// Ends [`Self::freeze`]; bytes that waited go on.
    pub fn thaw(&self) {
        self.change(|faults| faults.frozen = false);
    }

    /// Holds back each piece of data for a while.
    pub fn delay(&self, delay: Duration) {
        self.change(|faults| faults.delay = delay);
    }

    /// Limits each connection and direction; `None` ends the limit.
    pub fn rate(&self, bytes_per_second: Option<u64>) {
        self.change(|faults| faults.bytes_per_second = bytes_per_second);
    }

    /// Throws away what goes in one direction: a half-open connection. `None` ends it.
    pub fn lose(&self, direction: Option<Direction>) {
        self.change(|faults| faults.lost = direction);
    }

    /// Resets every connection, on both sides.
    pub fn cut(&self) {
        self.change(|faults| faults.cuts += 1);
    }

    /// Orders a [`Self::cut`] for the moment when this many further bytes came from the server.
    pub fn cut_after(&self, bytes_to_client: u64) {
        let at = self.bytes(Direction::ToClient) + bytes_to_client;
        self.meter.cut_at_to_client.store(at, Ordering::SeqCst);
    }

    /// Calls a [`Self::cut_after`] off.
    pub fn never_cut(&self) {
        self.meter
            .cut_at_to_client
            .store(u64::MAX, Ordering::SeqCst);
    }

    /// Refuses new connections (nothing listens on the port); open ones go on.
    pub fn refuse(&self) {
        self.change(|faults| faults.refusing = true);
    }

    /// Ends [`Self::refuse`].
    pub fn allow(&self) {
        self.change(|faults| faults.refusing = false);
    }

    fn change(&self, change: impl FnOnce(&mut Faults)) {
        self.faults.send_modify(change);
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        // The connections belong to the acceptor's set and end with it.
        self.acceptor.abort();
    }
}

impl Meter {
    fn passed(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// Counts bytes, and says whether a cut that was ordered is due; it is due once.
    fn count(&self, direction: Direction, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let total = self.passed(direction).fetch_add(bytes, Ordering::SeqCst) + bytes;
        let limit = self.cut_at_to_client.load(Ordering::SeqCst);
        direction == Direction::ToClient
            && total >= limit
            && self.cut_at_to_client.swap(u64::MAX, Ordering::SeqCst) != u64::MAX
    }
}

async fn listen() -> (TcpListener, u16) {
    loop {
        let port = free_port();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return (listener, port);
        }
    }
}

async fn accept(
    listener: TcpListener,
    port: u16,
    faults: Arc<watch::Sender<Faults>>,
    meter: Arc<Meter>,
) {
    let mut connections = JoinSet::new();
    let mut seen = faults.subscribe();
    let mut listener = Some(listener);
    loop {
        let refusing = seen.borrow_and_update().refusing;
        if refusing {
            listener = None;
        } else if listener.is_none() {
            // The port lies outside the range for outgoing connections: it is still free.
            let again = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
            listener = Some(ok("listen again", again));
        }
        tokio::select! {
            changed = seen.changed() => if changed.is_err() { return },
            client = next_client(listener.as_ref()) => if let Ok(client) = client {
                connections.spawn(serve(client, Arc::clone(&faults), Arc::clone(&meter)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn next_client(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

async fn serve(client: TcpStream, faults: Arc<watch::Sender<Faults>>, meter: Arc<Meter>) {
    let mut cut = faults.subscribe();
    let cuts_before = cut.borrow().cuts;
    let server_port = cut.borrow().server_port;
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await else {
        return;
    };
    meter.connections.fetch_add(1, Ordering::SeqCst);
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = Pump {
        direction: Direction::ToServer,
        faults: &faults,
        meter: &meter,
    };
    let down = Pump {
        direction: Direction::ToClient,
        ..up
    };
    let was_cut = tokio::select! {
        biased;
        _ = cut.wait_for(|now| now.cuts != cuts_before) => true,
        _ = async {
            tokio::join!(
                up.run(&mut from_client, &mut to_server),
                down.run(&mut from_server, &mut to_client),
            )
        } => false,
    };
    if was_cut {
        // Closing then sends a reset and drops what was not sent. A normal end must not.
        from_client.as_ref().set_zero_linger().ok();
        from_server.as_ref().set_zero_linger().ok();
    }
}

/// Carries one direction of one connection.
#[derive(Clone, Copy)]
struct Pump<'a> {
    direction: Direction,
    faults: &'a watch::Sender<Faults>,
    meter: &'a Meter,
}

impl Pump<'_> {
    /// Ends when the sender is done, or something broke.
    async fn run(self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) {
        let mut now = self.faults.subscribe();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            // A frozen network carries nothing, the end of a connection neither.
            now.wait_for(|faults| !faults.frozen).await.ok();
            let piece = piece_bytes(&now.borrow());
            // A reset is passed on as an end: the other side has to hear of it.
            let read = from.read(&mut buffer[..piece]).await.unwrap_or(0);
            now.wait_for(|faults| !faults.frozen).await.ok();
            if read == 0 {
                to.shutdown().await.ok();
                return;
            }
            let current = now.borrow().clone();
            tokio::time::sleep(hold(&current, read)).await;
            if current.lost == Some(self.direction) {
                continue;
            }
            if self.meter.count(self.direction, read) {
                self.faults.send_modify(|faults| faults.cuts += 1);
                return;
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
}

/// With a limited rate pieces are small, so that the rate is even.
fn piece_bytes(faults: &Faults) -> usize {
    let limit = faults.bytes_per_second.map(|rate| (rate / 50).max(1));
    limit
        .and_then(|bytes| usize::try_from(bytes).ok())
        .map_or(BUFFER_BYTES, |bytes| bytes.min(BUFFER_BYTES))
}

/// How long a piece is held back.
fn hold(faults: &Faults, bytes: usize) -> Duration {
    let for_rate = faults
        .bytes_per_second
        .map(|rate| Duration::from_nanos(bytes as u64 * 1_000_000_000 / rate.max(1)));
    faults.delay + for_rate.unwrap_or_default()
}
