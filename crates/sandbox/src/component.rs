//! A throwaway pooler or proxy: any program that runs in the foreground, in a folder of its
//! own. It dies with the process that started it, as a server does.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::account::Account;
use crate::error::{AtPath, SandboxError};
use crate::installation::cache_folder;
use crate::launch::launch;
use crate::processes::signal;
use crate::watchdog::Watchdog;

/// How often a condition is looked at while we wait for it.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// A process that was killed is gone as soon as the machine gets to it.
const KILLED_WITHIN: Duration = Duration::from_mins(1);

/// A program of that name: on `PATH`, where a distribution keeps daemons, or in our cache.
pub fn component_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let daemons = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    let cached = cache_folder().join(name);
    let folders = env::split_paths(&path).chain(daemons).chain([cached]);
    let mut programs = folders.map(|folder| folder.join(name));
    programs.find(|program| program.is_file())
}

/// One component and its folder. Dropping it ends it and removes the folder.
#[derive(Debug)]
pub struct Component {
    program: PathBuf,
    account: Account,
    folder: PathBuf,
    process: Option<Child>,
    watchdog: Watchdog,
}

impl Component {
    /// A folder for a program that does not run yet.
    pub fn prepare(program: &Path) -> Result<Self, SandboxError> {
        let account = Account::current()?;
        let folder = account.new_sandbox()?;
        Ok(Self {
            program: program.to_owned(),
            account,
            watchdog: Watchdog::over(&folder)?,
            folder,
            process: None,
        })
    }

    /// The folder, which the program's user owns.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file in the folder, owned by the program's user.
    pub fn write_file(&self, name: &str, content: &str) -> Result<PathBuf, SandboxError> {
        let path = self.folder.join(name);
        self.account.write(&path, content.as_bytes())?;
        Ok(path)
    }

    /// Starts the program; it may not be ready yet.
    pub fn start<S: AsRef<OsStr>>(&mut self, arguments: &[S]) -> Result<(), SandboxError> {
        if self.runs()? {
            return Err(SandboxError::State("running already"));
        }
        let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let log = self.folder.join("log");
        let (account, program) = (self.account, &self.program);
        let process = launch(account, program, &arguments, &log, &mut self.watchdog)?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it where it is, as a machine without time for it would; [`Self::thaw`] lets it
    /// go on.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, name: Signal) {
        if let Some(process) = &self.process {
            signal(process.id(), name);
        }
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> Result<bool, SandboxError> {
        let Some(process) = &mut self.process else {
            return Ok(false);
        };
        if process.try_wait().at(&self.folder)?.is_none() {
            return Ok(true);
        }
        self.process = None;
        self.watchdog.guard(None)?;
        Ok(false)
    }

    /// Kills it, as a crash would; nothing happens when it does not run.
    pub fn kill(&mut self) -> Result<(), SandboxError> {
        self.signal(Signal::KILL);
        let limit = Instant::now() + KILLED_WITHIN;
        while self.runs()? {
            if Instant::now() > limit {
                return Err(SandboxError::TimedOut {
                    what: "stop",
                    limit: KILLED_WITHIN,
                    log: self.log(),
                });
            }
            thread::sleep(POLL_EVERY);
        }
        Ok(())
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        // Whatever remains, the watchdog ends and removes when it is dropped after this.
        let _ = self.kill();
    }
}
