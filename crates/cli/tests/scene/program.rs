//! The real binary as a child process: its arguments, what it says, how it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use trunkline_testkit::sandbox::client_programs;

/// How long anything may take before the test gives up: only a hang is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// How `trunkline` is called.
#[derive(Clone)]
pub(crate) struct Program {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

/// How a call ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) arguments: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A call that runs.
pub(crate) struct Running {
    arguments: String,
    child: Child,
    said: watch::Receiver<Said>,
    stdout: JoinHandle<String>,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    over: bool,
}

impl Program {
    /// With a home and a migration's folder of its own inside of `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let program = Program {
            folder: folder.to_owned(),
            variables: BTreeMap::new(),
        };
        let dir = program.migration_folder().display().to_string();
        program.variable("TRUNKLINE_DIR", &dir)
    }

    /// The migration's folder.
    pub(crate) fn migration_folder(&self) -> PathBuf {
        self.folder.join("migration")
    }

    /// Sets a variable of its environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["TRUNKLINE_", "PG", "XDG_STATE"]
                .iter()
                .any(|ours| text.starts_with(ours))
            {
                command.env_remove(&name);
            }
        }
        // Where the servers and client programs of the tests lie is known by this.
        if let Some(cache) = std::env::var_os("TRUNKLINE_PG_CACHE") {
            command.env("TRUNKLINE_PG_CACHE", cache);
        }
        // pg_dump must not be older than the source: the newest of the tests' own comes first.
        if let Some(newest) = client_programs().last() {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(newest.bin.clone()).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders).expect("a PATH"));
        }
        command
            .envs(&self.variables)
            .current_dir(&self.folder)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).spawn().expect("trunkline starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let (sender, said) = watch::channel(Said::default());
        tokio::spawn(listen(stderr, sender));
        Running {
            arguments: arguments.join(" "),
            child,
            said,
            stdout: tokio::spawn(read_all(stdout)),
        }
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).ended().await
    }
}

async fn listen(stderr: impl AsyncRead + Unpin, said: watch::Sender<Said>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        said.send_modify(|said| said.lines.push(line));
    }
    said.send_modify(|said| said.over = true);
}

async fn read_all(mut stdout: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    stdout
        .read_to_end(&mut bytes)
        .await
        .expect("stdout can be read");
    String::from_utf8(bytes).expect("stdout is text")
}

impl Running {
    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it was not waited for yet")
    }

    /// Waits until it says a line that contains this. `false` when it ended without.
    pub(crate) async fn says(&mut self, text: &str) -> bool {
        let found = |said: &Said| said.over || said.lines.iter().any(|line| line.contains(text));
        let mut said = self.said.clone();
        let waited = tokio::time::timeout(PATIENCE, said.wait_for(found)).await;
        let Ok(waited) = waited else {
            panic!(
                "`{}` never said {text:?}: {}",
                self.arguments,
                self.so_far()
            );
        };
        waited.is_ok_and(|said| said.lines.iter().any(|line| line.contains(text)))
    }

    /// The same, where not saying it is a failure.
    pub(crate) async fn must_say(&mut self, text: &str) {
        let said = self.says(text).await;
        assert!(
            said,
            "`{}` ended without {text:?}: {}",
            self.arguments,
            self.so_far()
        );
    }

    /// What it said on stderr until now.
    pub(crate) fn so_far(&self) -> String {
        self.said.borrow().lines.join("\n")
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by name, such as INT.
    pub(crate) async fn signal(&self, name: &str) {
        let (option, id) = (format!("-{name}"), self.id().to_string());
        let sent = Command::new("/bin/kill")
            .args([&option, &id])
            .status()
            .await;
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send {name}"
        );
    }

    /// Kills it, as a crash would.
    pub(crate) async fn kill(mut self) -> Ran {
        self.child.start_kill().expect("it can be killed");
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ran {
        let Ok(ended) = tokio::time::timeout(PATIENCE, self.child.wait()).await else {
            panic!("`{}` does not end: {}", self.arguments, self.so_far());
        };
        let status: ExitStatus = ended.expect("it can be waited for");
        // Programs that it started may hold the pipes a little longer.
        let stdout = tokio::time::timeout(PATIENCE, self.stdout).await;
        let mut said = self.said.clone();
        let over = tokio::time::timeout(PATIENCE, said.wait_for(|said| said.over)).await;
        drop(over);
        let ran = Ran {
            arguments: self.arguments,
            code: status.code(),
            stdout: stdout.expect("stdout ends").expect("stdout was read"),
            stderr: self.said.borrow().lines.join("\n"),
        };
        eprintln!("{ran}");
        ran
    }
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("no JSON ({error}): {self}"),
        }
    }

    /// Asserts that stderr contains each of these.
    #[track_caller]
    pub(crate) fn expect_said(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} was not said: {self}");
        }
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self
            .code
            .map_or_else(|| "killed".to_owned(), |code| code.to_string());
        writeln!(f, "$ trunkline {} → {code}", self.arguments)?;
        write!(f, "{}\n{}", self.stdout, self.stderr)
    }
}
