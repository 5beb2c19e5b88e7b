//! Why a bench could not be run, or may not be believed.

use std::path::Path;

/// Why a bench ended without a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A program could not be started, or failed.
    #[error("{program} failed ({how})\n{said}")]
    Program {
        program: String,
        how: String,
        said: String,
    },
    /// A program that is needed is not installed.
    #[error("{name} is not installed\nhint: {hint}")]
    Missing { name: String, hint: &'static str },
    /// A server refused a statement.
    #[error("{doing}: {cause}")]
    Sql {
        doing: String,
        cause: tokio_postgres::Error,
    },
    /// A server could not be started.
    #[error("a throwaway server: {0}")]
    Sandbox(#[from] trunkline_sandbox::SandboxError),
    /// A contestant's result is not what it was to make.
    #[error("{who}: the result is not equal to the source: {what}")]
    Unequal { who: String, what: String },
    /// Nothing of what was asked for exists.
    #[error("no workload is called {names}")]
    NoWorkload { names: String },
    /// Something did not happen in its time.
    #[error("{what} did not happen within {seconds} s")]
    TooLate { what: String, seconds: u64 },
    /// A file.
    #[error("{path}: {cause}")]
    File { path: String, cause: std::io::Error },
    /// The record of earlier benches cannot be read.
    #[error("{path}: {cause}\nhint: remove it, and run the benches again")]
    Record {
        path: String,
        cause: serde_json::Error,
    },
}

impl BenchError {
    pub(crate) fn file(path: &Path, cause: std::io::Error) -> Self {
        BenchError::File {
            path: path.display().to_string(),
            cause,
        }
    }
}

/// Adds what was being done to a server's error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T, BenchError>;
}

impl<T> Doing<T> for Result<T, tokio_postgres::Error> {
    fn doing(self, what: impl Into<String>) -> Result<T, BenchError> {
        self.map_err(|cause| BenchError::Sql {
            doing: what.into(),
            cause,
        })
    }
}
