//! Servers for tests: a `Cluster` is a throwaway server with the connections that tests want.

use std::env;
use std::fmt::Write as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};
use trunkline_sandbox::{Installation, Mode, Server, ServerBuilder, client_programs, installed};

/// The major versions that Trunkline supports, and that `cargo xtask setup` provides.
pub const MAJORS: [u32; 7] = [12, 13, 14, 15, 16, 17, 18];

/// The version for tests that need no certain one: `$TRUNKLINE_TEST_MAJOR`, else the first that
/// is installed of 15, 17, 16, 18, 14, 13, 12.
pub fn any_major() -> u32 {
    if let Some(major) = env::var("TRUNKLINE_TEST_MAJOR")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        return major;
    }
    let there = installed();
    [15, 17, 16, 18, 14, 13, 12]
        .into_iter()
        .find(|major| there.iter().any(|found| found.major == *major))
        .unwrap_or(15)
}

/// How long a server that has just started may be without its log writer.
const WRITER_COMES_WITHIN: Duration = Duration::from_mins(1);

/// A server for one test; it goes when it is dropped or the test process ends.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
}

/// A server for one test, before it starts.
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
    server: ServerBuilder,
}

impl ClusterBuilder {
    /// A line of `postgresql.conf`.
    #[must_use]
    pub fn setting(self, name: &str, value: &str) -> Self {
        self.map(|server| server.setting(name, value))
    }

    /// The whole content of `pg_hba.conf`.
    #[must_use]
    pub fn hba(self, lines: &str) -> Self {
        self.map(|server| server.hba(lines))
    }

    /// Takes the data by `pg_basebackup` from a running cluster of the same version.
    #[must_use]
    pub fn base_backup_of(self, origin: &Cluster, arguments: &[&str]) -> Self {
        self.map(|server| server.base_backup_of(&origin.server.conninfo("postgres"), arguments))
    }

    /// Changes the sandbox's builder, for what has no method here.
    #[must_use]
    pub fn map(self, change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        Self {
            server: change(self.server),
        }
    }

    /// Starts the server, and waits until it takes connections.
    pub fn start(self) -> Cluster {
        let server = ok("start a server", self.server.start());
        Cluster { server }
    }

    /// Makes the server without starting it.
    pub fn prepare(self) -> Cluster {
        let server = ok("prepare a server", self.server.prepare());
        Cluster { server }
    }
}

impl Cluster {
    /// Starts a server of a major version with logical replication possible.
    pub fn start(major: u32) -> Self {
        Self::builder(major).start()
    }

    /// Starts a server of [`any_major`].
    pub fn start_any() -> Self {
        Self::start(any_major())
    }

    /// Prepares a server of a major version.
    pub fn builder(major: u32) -> ClusterBuilder {
        let installation = Installation::of_major(major);
        let installation = installation
            .unwrap_or_else(|| panic!("PostgreSQL {major} is missing; run cargo xtask setup"));
        ClusterBuilder {
            server: Server::builder(&installation),
        }
    }

    /// The server itself, for what has no method here.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// The major version.
    pub fn major(&self) -> u32 {
        self.server.installation().major
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// How to reach a database, as a URI.
    pub fn uri(&self, database: &str) -> String {
        uri_at(self.port(), database)
    }

    /// How to reach a database, as keywords and values.
    pub fn conninfo(&self, database: &str) -> String {
        self.server.conninfo(database)
    }

    /// Connects to a database; a task of the current runtime drives the connection.
    pub async fn client(&self, database: &str) -> Client {
        connect(&self.uri(database)).await
    }

    /// Creates a database from `template0`, and returns its URI.
    pub async fn create_database(&self, name: &str) -> String {
        let client = self.client("postgres").await;
        let quoted = name.replace('"', "\"\"");
        let statement = format!("CREATE DATABASE \"{quoted}\" TEMPLATE template0");
        ok("create a database", client.batch_execute(&statement).await);
        self.uri(name)
    }

    /// Runs statements through `psql`, stopping at the first error; what it prints, unaligned.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let clients = client_programs();
        let newest = clients.last().expect("psql is installed");
        let output = Command::new(newest.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-d", &self.uri(database), "-c", sql])
            .output();
        let output = ok("run psql", output);
        assert!(
            output.status.success(),
            "psql failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// Stops the server.
    pub fn stop(&mut self, mode: Mode) {
        ok("stop the server", self.server.stop(mode));
    }

    /// Stops the server fast, and starts it on the same port.
    pub fn restart(&mut self) {
        ok("restart the server", self.server.restart());
    }

    /// A streaming standby of this server, which is stopped for a moment while its files are
    /// copied. It streams from a physical slot of that name; from none if it is empty.
    #[must_use]
    pub fn standby(
        &mut self,
        slot: &str,
        change: impl FnOnce(ClusterBuilder) -> ClusterBuilder,
    ) -> Cluster {
        self.stop(Mode::Fast);
        let data = self.server.data().to_owned();
        let builder = Self::builder(self.major()).map(|server| server.copy_of(&data));
        let primary = self.server.conninfo("postgres");
        let builder = change(builder)
            .setting("primary_conninfo", &primary)
            .setting("wal_retrieve_retry_interval", "100ms")
            .setting("primary_slot_name", slot);
        let mut standby = builder.prepare();
        self.start_again();
        if !slot.is_empty() {
            let make = format!("SELECT pg_create_physical_replication_slot('{slot}', true)");
            self.psql("postgres", &make);
        }
        ok(
            "make a standby",
            standby.server.write_file("standby.signal", ""),
        );
        standby.start_again();
        standby
    }

    /// Kills every process of the server, as a crash would.
    pub fn kill(&mut self) {
        ok("kill the server", self.server.kill());
    }

    /// From now on what does not wait for the disk does not reach it, until the server is
    /// killed: the process that would see to it sleeps.
    pub fn hold_log_writer(&self) {
        let writer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'";
        let begun = Instant::now();
        let pid = loop {
            let pid = self.psql("postgres", writer).trim().to_owned();
            if !pid.is_empty() {
                break pid;
            }
            // It comes a moment after the first connection that a server takes.
            assert!(begun.elapsed() < WRITER_COMES_WITHIN, "no log writer");
            thread::sleep(Duration::from_millis(20));
        };
        let stopped = Command::new("kill").args(["-STOP", &pid]).status();
        assert!(stopped.is_ok_and(|status| status.success()), "kill -STOP");
    }

    /// Starts the server after [`Self::stop`] or [`Self::kill`].
    pub fn start_again(&mut self) {
        ok("start the server again", self.server.start_again());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.server.log();
            let from = log.lines().count().saturating_sub(40);
            let mut tail = String::new();
            for line in log.lines().skip(from) {
                // Writing to a String cannot fail.
                let _ = writeln!(tail, "  {line}");
            }
            eprintln!("log of PostgreSQL {}, its end:\n{tail}", self.major());
        }
    }
}

/// Connects by URI or keywords; a task of the current runtime drives the connection.
pub async fn connect(conninfo: &str) -> Client {
    ok("connect", try_connect(conninfo).await)
}

/// Like [`connect`], for a server that may not answer.
pub async fn try_connect(conninfo: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await?;
    // The connection's error reaches the client's caller as well.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

/// The URI of a database behind a port of this machine: a server's, or a proxy's.
pub fn uri_at(port: u16, database: &str) -> String {
    let mut encoded = String::new();
    for byte in database.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("postgres://postgres@127.0.0.1:{port}/{encoded}")
}

/// The value, or a panic that says what was being done.
#[track_caller]
pub(crate) fn ok<T, E: std::error::Error>(doing: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("cannot {doing}: {}", with_causes(&error)),
    }
}

/// An error with its causes, as text.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}
