//! A throwaway server: its life from start to removal.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::account::Account;
use crate::builder::ServerBuilder;
use crate::error::{AtPath, SandboxError};
use crate::installation::Installation;
use crate::launch::launch;
use crate::port::free_port;
use crate::processes::{children, runs, signal};
use crate::watchdog::Watchdog;

/// How often a condition is looked at while we wait for it.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// A smart or fast shutdown writes a checkpoint first.
const STOPPED_WITHIN: Duration = Duration::from_mins(1);
/// How often another port is tried when somebody took ours.
const PORTS_TRIED: u32 = 8;
/// How much of the log an error shows.
const LOG_TAIL_BYTES: usize = 4096;

/// How a server is to stop (`pg_ctl`'s modes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Waits for the sessions to end.
    Smart,
    /// Ends the sessions, then shuts down cleanly.
    Fast,
    /// Ends at once; the next start recovers.
    Immediate,
}

/// The folders of one server.
#[derive(Debug)]
pub(crate) struct Layout {
    installation: Installation,
    account: Account,
    data: PathBuf,
    sockets: PathBuf,
    log: PathBuf,
    folder: PathBuf,
}

impl Layout {
    pub(crate) fn new(installation: Installation, account: Account, folder: PathBuf) -> Self {
        Self {
            installation,
            account,
            data: folder.join("data"),
            sockets: folder.join("sockets"),
            log: folder.join("log"),
            folder,
        }
    }
}

/// A throwaway PostgreSQL server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Server {
    layout: Layout,
    port: u16,
    started_before: bool,
    ready_within: Duration,
    postmaster: Option<Child>,
    watchdog: Watchdog,
}

impl Server {
    /// Prepares a server of an installation.
    pub fn builder(installation: &Installation) -> ServerBuilder {
        ServerBuilder::new(installation)
    }

    /// A server whose folder is there and still empty.
    pub(crate) fn over(
        layout: Layout,
        port: u16,
        ready_within: Duration,
    ) -> Result<Self, SandboxError> {
        let watchdog = Watchdog::over(&layout.folder)?;
        fs::create_dir(&layout.sockets).at(&layout.sockets)?;
        layout.account.own(&layout.sockets)?;
        Ok(Self {
            layout,
            port,
            started_before: false,
            ready_within,
            postmaster: None,
            watchdog,
        })
    }

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.layout.data
    }

    /// The folder of the unix socket.
    pub fn socket_dir(&self) -> &Path {
        &self.layout.sockets
    }

    /// The installation that this server runs.
    pub fn installation(&self) -> &Installation {
        &self.layout.installation
    }

    /// How to reach a database, as libpq's keywords; over TCP, as `postgres`, without a password.
    pub fn conninfo(&self, database: &str) -> String {
        let database = database.replace('\\', r"\\").replace('\'', r"\'");
        let port = self.port;
        format!("host=127.0.0.1 port={port} user=postgres dbname='{database}'")
    }

    /// The postmaster's process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Child::id)
    }

    /// All that the server has logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.layout.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Appends settings to `postgresql.conf`; they count from the next start or reload.
    pub fn configure(&self, settings: &[(String, String)]) -> Result<(), SandboxError> {
        let mut text = String::from("\n");
        for (name, value) in settings {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
        }
        let path = self.data().join("postgresql.conf");
        let mut file = OpenOptions::new().append(true).open(&path).at(&path)?;
        file.write_all(text.as_bytes()).at(path)
    }

    /// Writes a file in the data folder, owned by the server's user and readable to it alone:
    /// `standby.signal`, `server.key`, another `pg_hba.conf`.
    pub fn write_file(&self, name: &str, content: &str) -> Result<(), SandboxError> {
        let path = self.data().join(name);
        self.layout.account.write(&path, content.as_bytes())
    }

    /// Reads the configuration files again, as `pg_ctl reload` does.
    pub fn reload(&self) {
        if let Some(id) = self.process_id() {
            signal(id, Signal::HUP);
        }
    }

    /// Stops the server; nothing happens when it does not run.
    pub fn stop(&mut self, mode: Mode) -> Result<(), SandboxError> {
        let Some(id) = self.process_id() else {
            return Ok(());
        };
        let (how, limit) = match mode {
            Mode::Smart => (Signal::TERM, STOPPED_WITHIN),
            Mode::Fast => (Signal::INT, STOPPED_WITHIN),
            Mode::Immediate => (Signal::QUIT, STOPPED_WITHIN),
        };
        signal(id, how);
        self.wait_for_the_end(limit)
    }

    /// Stops the server fast and starts it again on the same port.
    pub fn restart(&mut self) -> Result<(), SandboxError> {
        self.stop(Mode::Fast)?;
        self.start_again()
    }

    /// Kills the server with all its processes, as a crash of the machine would.
    pub fn kill(&mut self) -> Result<(), SandboxError> {
        let Some(id) = self.process_id() else {
            return Ok(());
        };
        // Stopped first, it cannot start further processes while we list them.
        signal(id, Signal::STOP);
        let backends = children(id);
        for process in backends.iter().chain([&id]) {
            signal(*process, Signal::KILL);
        }
        self.wait_for_the_end(STOPPED_WITHIN)?;
        // Shared memory is free for the next start when the last of them has gone.
        let limit = Instant::now() + STOPPED_WITHIN;
        while backends.iter().any(|backend| runs(*backend)) && Instant::now() < limit {
            thread::sleep(POLL_EVERY);
        }
        Ok(())
    }

    /// Stops every process of the server where it stands (SIGSTOP): it answers nothing, and its
    /// connections stay open.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Starts a server that was prepared, stopped or killed.
    pub fn start_again(&mut self) -> Result<(), SandboxError> {
        if self.postmaster.is_some() {
            return Err(SandboxError::State("running already"));
        }
        let mut tried = 1;
        loop {
            match self.start_once() {
                Err(SandboxError::Ended { log })
                    if tried < PORTS_TRIED && log.contains("Address already in use") =>
                {
                    tried += 1;
                    self.wait_or_move()?;
                }
                other => return other,
            }
        }
    }

    /// The port was taken. Before the first start we choose another one; later it is known to
    /// others, and we can only try again.
    fn wait_or_move(&mut self) -> Result<(), SandboxError> {
        if self.started_before {
            thread::sleep(POLL_EVERY * 10);
        } else {
            self.port = free_port();
        }
        fs::write(&self.layout.log, "").at(&self.layout.log)
    }

    fn start_once(&mut self) -> Result<(), SandboxError> {
        let own = [
            ("port".to_owned(), self.port.to_string()),
            (
                "unix_socket_directories".to_owned(),
                self.layout.sockets.display().to_string(),
            ),
        ];
        self.configure(&own)?;
        let layout = &self.layout;
        let postgres = layout.installation.bin.join("postgres");
        let child = launch(
            layout.account,
            &postgres,
            &["-D".as_ref(), layout.data.as_os_str()],
            &layout.log,
            &mut self.watchdog,
        )?;
        self.postmaster = Some(child);
        self.wait_until_ready()?;
        self.started_before = true;
        Ok(())
    }

    /// The postmaster writes its state into line 8 of its pid file: what `pg_ctl -w` reads.
    fn wait_until_ready(&mut self) -> Result<(), SandboxError> {
        let pid_file = self.data().join("postmaster.pid");
        let limit = Instant::now() + self.ready_within;
        loop {
            if self.has_ended()? {
                return Err(SandboxError::Ended {
                    log: self.log_tail(),
                });
            }
            let text = fs::read_to_string(&pid_file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let ours = self.process_id().map(|id| id.to_string());
            let is_ours = lines.first().map(|&id| id.to_owned()) == ours;
            if is_ours && matches!(lines.get(7), Some(&("ready" | "standby"))) {
                return Ok(());
            }
            if Instant::now() > limit {
                return Err(self.timed_out("start", self.ready_within));
            }
            thread::sleep(POLL_EVERY);
        }
    }

    fn wait_for_the_end(&mut self, within: Duration) -> Result<(), SandboxError> {
        let limit = Instant::now() + within;
        while !self.has_ended()? {
            if Instant::now() > limit {
                return Err(self.timed_out("stop", within));
            }
            thread::sleep(POLL_EVERY);
        }
        Ok(())
    }

    /// Looks whether the postmaster has ended, and forgets it if so.
    fn has_ended(&mut self) -> Result<bool, SandboxError> {
        let Some(child) = &mut self.postmaster else {
            return Ok(true);
        };
        if child.try_wait().at(&self.layout.data)?.is_none() {
            return Ok(false);
        }
        self.postmaster = None;
        self.watchdog.guard(None)?;
        Ok(true)
    }

    fn signal_all(&self, what: Signal) {
        if let Some(id) = self.process_id() {
            for process in std::iter::once(id).chain(children(id)) {
                signal(process, what);
            }
        }
    }

    fn timed_out(&self, what: &'static str, limit: Duration) -> SandboxError {
        SandboxError::TimedOut {
            what,
            limit,
            log: self.log_tail(),
        }
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let start = log.len().saturating_sub(LOG_TAIL_BYTES);
        let start = (start..log.len())
            .find(|at| log.is_char_boundary(*at))
            .unwrap_or(start);
        log[start..].to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.thaw();
        // Whatever remains, the watchdog ends and removes when it is dropped after this.
        let _ = self.stop(Mode::Immediate);
    }
}
