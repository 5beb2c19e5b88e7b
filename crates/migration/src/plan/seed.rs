//! How the first rows come to the target.

use std::path::PathBuf;

use trunkline_changes::Lsn;

/// How the first rows come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seed {
    /// Read from the source's tables and written to the target's.
    Copy,
    /// With a copy of the source's whole storage; only changes are read from its tables.
    Snapshot(Snapshot),
}

impl Seed {
    /// The storage copy, if it is one.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match self {
            Seed::Copy => None,
            Seed::Snapshot(snapshot) => Some(snapshot),
        }
    }
}

/// Who makes the storage copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// Somebody else, after the slot is made: the migration waits for the copy's position.
    Operator(Option<PositionFrom>),
    /// We, on this machine, by `pg_basebackup`.
    BaseBackup(BaseBackup),
}

/// Where the position of somebody else's copy is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PositionFrom {
    /// The plan says it.
    Given(Lsn),
    /// The log of the server that was started on the copy (`redo done at`).
    Log(PathBuf),
    /// `aurora_volume_logical_start_lsn()` on the target.
    Aurora,
    /// `rds_tools.logical_seed_lsn()` on the target.
    Rds,
}

/// A copy that we make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseBackup {
    /// The new server's data folder.
    pub data_directory: PathBuf,
    /// The port that it is to listen on.
    pub port: u16,
    /// The operating-system user that it is to run as, when we are root.
    pub user: Option<String>,
    /// The major version that it is upgraded to before it is used.
    pub upgrade_to: Option<u32>,
    /// Further folders with PostgreSQL's programs.
    pub programs: Vec<PathBuf>,
}

impl BaseBackup {
    /// Where the copy is made: the new server's folder, or one beside it if `pg_upgrade` makes
    /// that from the copy.
    pub fn copy_directory(&self) -> PathBuf {
        if self.upgrade_to.is_none() {
            return self.data_directory.clone();
        }
        let mut name = self
            .data_directory
            .file_name()
            .unwrap_or_default()
            .to_owned();
        name.push(".before-upgrade");
        self.data_directory.with_file_name(name)
    }
}
