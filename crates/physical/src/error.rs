//! What can go wrong with a copy on this machine.

use std::io;
use std::path::PathBuf;

use trunkline_postgres::PgError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhysicalError {
    /// No folder of this machine holds the programs.
    #[error("{names} of PostgreSQL {major} are not on this machine (looked in {looked})")]
    NoProgram {
        /// Which programs.
        names: String,
        /// The version that is needed.
        major: u32,
        /// Where they were looked for.
        looked: String,
    },
    /// The operating-system user cannot be used.
    #[error("the user {user}: {why}")]
    Account {
        /// The user.
        user: String,
        /// Why not.
        why: String,
    },
    /// A program could not be started, or ended with an error.
    #[error("{program} failed ({status}): {said}")]
    Program {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// The folder cannot be used as it is.
    #[error("{}: {why}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{doing} {}: {cause}", path.display())]
    File {
        /// What we were doing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// A question to the server was not answered.
    #[error("{doing}: {cause}")]
    Asking {
        /// What we were doing.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: PgError,
    },
    /// The operator asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl PhysicalError {
    /// What an operator can do about it.
    pub fn hint(&self) -> String {
        match self {
            PhysicalError::NoProgram { major, .. } => format!(
                "install the server and client packages of PostgreSQL {major}, or put the folder \
                 with their programs on PATH"
            ),
            PhysicalError::Account { .. } => {
                "name a user that PostgreSQL may run as with `user` (it refuses to run as root), \
                 or run as that user"
                    .to_owned()
            }
            PhysicalError::Program { program, .. } if program == "pg_basebackup" => {
                "pg_basebackup needs a role with REPLICATION, a line for `replication` in the \
                 server's pg_hba.conf, and a free sender (max_wal_senders)"
                    .to_owned()
            }
            PhysicalError::Program { .. } => "the program's own words say more".to_owned(),
            PhysicalError::Folder { .. } => {
                "name an empty or new folder, or move away what is there".to_owned()
            }
            PhysicalError::File { .. } => "look at the path and its rights".to_owned(),
            PhysicalError::Asking { .. } => "look at the server's log".to_owned(),
            PhysicalError::Cancelled => "the same command goes on".to_owned(),
        }
    }
}

/// Names the file in an I/O error.
pub(crate) trait AtPath<T> {
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, PhysicalError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, PhysicalError> {
        self.map_err(|cause| PhysicalError::File {
            doing,
            path: path.into(),
            cause,
        })
    }
}
