//! Which of this machine's programs to run: those of a server's own major version, from one
//! folder; only `pg_basebackup` may be newer than the server that it reads.

use std::path::{Path, PathBuf};

use trunkline_postgres::{
    ServerVersion, distinct_folders, folders_on_path, packaged_folders, program_version,
};

use crate::error::PhysicalError;

/// What a server needs to run.
const SERVER: &[&str] = &["pg_ctl", "postgres", "initdb"];
/// What `pg_upgrade` looks for in the folder of the older version.
const UPGRADED: &[&str] = &["pg_ctl", "postgres", "pg_controldata", "pg_resetwal"];
/// What it looks for in the folder of the newer one.
const UPGRADING: &[&str] = &[
    "pg_ctl",
    "postgres",
    "initdb",
    "pg_upgrade",
    "pg_controldata",
    "pg_resetwal",
    "pg_dump",
    "pg_dumpall",
    "pg_restore",
    "psql",
];

/// A folder with the programs of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    bin: PathBuf,
    version: ServerVersion,
}

impl Programs {
    /// Those that run a server of a major version. Looked for in `further` folders first, then
    /// on `PATH` and where distributions install them.
    pub async fn server(major: u32, further: &[PathBuf]) -> Result<Programs, PhysicalError> {
        find(major, SERVER, further).await
    }

    /// Those that `pg_upgrade` needs of the version that it upgrades from.
    pub async fn upgraded(major: u32, further: &[PathBuf]) -> Result<Programs, PhysicalError> {
        find(major, UPGRADED, further).await
    }

    /// Those that `pg_upgrade` needs of the version that it upgrades to.
    pub async fn upgrading(major: u32, further: &[PathBuf]) -> Result<Programs, PhysicalError> {
        find(major, UPGRADING, further).await
    }

    /// Those of any version: for a folder that no server was made in yet.
    pub async fn any(further: &[PathBuf]) -> Result<Programs, PhysicalError> {
        for bin in folders(further) {
            if SERVER.iter().all(|name| bin.join(name).is_file())
                && let Some(version) = program_version(&bin.join("postgres")).await
            {
                return Ok(Programs { bin, version });
            }
        }
        Err(missing(0, SERVER, further))
    }

    /// The folder.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The version.
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    /// The path of one program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// The `pg_basebackup` for a server of a major version: of that version, else the next newer
/// one (it refuses a server that is newer than itself).
pub async fn backup_program(major: u32, further: &[PathBuf]) -> Result<PathBuf, PhysicalError> {
    const NAME: &str = "pg_basebackup";
    let mut best: Option<(u32, PathBuf)> = None;
    for bin in folders(further) {
        let Some(version) = program_version(&bin.join(NAME)).await else {
            continue;
        };
        let found = version.major();
        if found >= major && best.as_ref().is_none_or(|(known, _)| found < *known) {
            best = Some((found, bin.join(NAME)));
        }
    }
    best.map(|(_, path)| path)
        .ok_or_else(|| missing(major, &[NAME], further))
}

async fn find(major: u32, names: &[&str], further: &[PathBuf]) -> Result<Programs, PhysicalError> {
    let mut best: Option<Programs> = None;
    for bin in folders(further) {
        if !names.iter().all(|name| bin.join(name).is_file()) {
            continue;
        }
        let Some(version) = program_version(&bin.join("postgres")).await else {
            continue;
        };
        // Of equal ones the first stays: the operator's folders stand before ours.
        let better = best.as_ref().is_none_or(|best| version > best.version);
        if version.major() == major && better {
            best = Some(Programs { bin, version });
        }
    }
    best.ok_or_else(|| missing(major, names, further))
}

fn missing(major: u32, names: &[&str], further: &[PathBuf]) -> PhysicalError {
    let looked: Vec<String> = folders(further)
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    PhysicalError::NoProgram {
        names: names.join(", "),
        major,
        looked: looked.join(", "),
    }
}

fn folders(further: &[PathBuf]) -> Vec<PathBuf> {
    distinct_folders([further.to_vec(), folders_on_path(), packaged_folders()].concat())
}
