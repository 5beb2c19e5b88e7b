//! What can go wrong with a throwaway server.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a throwaway server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// We are root and there is no user `postgres` to run the server as.
    #[error("PostgreSQL does not run as root, and this machine has no user \"postgres\"")]
    NoAccount,
    /// A program that is needed could not be started at all.
    #[error("cannot start {program}")]
    Spawn {
        /// The program's name or path.
        program: String,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// A program ran and failed.
    #[error("{program} failed:\n{output}")]
    Program {
        /// The program's name or path.
        program: String,
        /// What it printed.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("the server ended during its start; its log:\n{log}")]
    Ended {
        /// The end of the server's log.
        log: String,
    },
    /// The server did not become ready, or did not stop, in time.
    #[error("the server did not {what} within {limit:?}; its log:\n{log}")]
    TimedOut {
        /// What was waited for: `start` or `stop`.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
        /// The end of the server's log.
        log: String,
    },
    /// No program of that name and version is installed.
    #[error("{name} of PostgreSQL {major} is not installed")]
    Missing {
        /// The program's name.
        name: String,
        /// The major version asked for.
        major: u32,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The server cannot do this now: it runs, or it does not.
    #[error("the server is {0}")]
    State(&'static str),
}

/// Names the file in an I/O error.
pub(crate) trait AtPath<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T, SandboxError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T, SandboxError> {
        self.map_err(|cause| SandboxError::File {
            path: path.into(),
            cause,
        })
    }
}
