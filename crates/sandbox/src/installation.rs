//! The PostgreSQL installations of this machine: the distribution's, the one on `PATH`, and the
//! further versions in our cache folder.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::builder::ServerBuilder;
use crate::error::SandboxError;

/// A folder with PostgreSQL programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The major version, such as 15.
    pub major: u32,
    /// The version as the program prints it, such as `15.18`.
    pub version: String,
    /// The folder that holds the programs.
    pub bin: PathBuf,
}

impl Installation {
    /// Reads the version of the programs in a folder by asking one of them.
    fn probe(bin: &Path, program: &str) -> Option<Self> {
        let output = Command::new(bin.join(program))
            .arg("--version")
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (_, after) = text.split_once("(PostgreSQL) ")?;
        let version = after.split_whitespace().next()?.to_owned();
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        Some(Self {
            major: digits.parse().ok()?,
            version,
            bin: bin.to_owned(),
        })
    }

    /// The installed server of a major version, or `None`.
    pub fn of_major(major: u32) -> Option<Self> {
        installed().into_iter().find(|found| found.major == major)
    }

    /// The newest installed server.
    pub fn newest() -> Option<Self> {
        installed().into_iter().max_by_key(|found| found.major)
    }

    /// Prepares a server of this installation.
    pub fn server(&self) -> ServerBuilder {
        ServerBuilder::new(self)
    }
}

/// The folder where further versions and templates are kept: `$TRUNKLINE_PG_CACHE`, else
/// `/var/cache/trunkline` for root, else `~/.cache/trunkline`.
pub fn cache_folder() -> PathBuf {
    if let Some(folder) = env::var_os("TRUNKLINE_PG_CACHE") {
        return folder.into();
    }
    if rustix::process::geteuid().is_root() {
        return "/var/cache/trunkline".into();
    }
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("trunkline")
}

/// All servers of this machine, by rising major version; the distribution's before the cache's.
pub fn installed() -> Vec<Installation> {
    found("server-", &["postgres", "initdb"])
}

/// All sets of client programs (`pg_dump`, `psql`, ...), by rising major version.
pub fn client_programs() -> Vec<Installation> {
    found("client-", &["pg_dump", "psql"])
}

/// One program of a major version, such as `pg_basebackup` of 16.
pub fn program(major: u32, name: &str) -> Result<PathBuf, SandboxError> {
    installed()
        .into_iter()
        .chain(client_programs())
        .filter(|found| found.major == major)
        .map(|found| found.bin.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| SandboxError::Missing {
            name: name.to_owned(),
            major,
        })
}

/// The folders that hold all of `programs`, versions read from the first of them.
fn found(cached_prefix: &str, programs: &[&str]) -> Vec<Installation> {
    let mut seen = BTreeSet::new();
    let mut installations: Vec<Installation> = candidate_folders(cached_prefix)
        .into_iter()
        .filter(|bin| programs.iter().all(|program| bin.join(program).is_file()))
        .filter(|bin| seen.insert(bin.clone()))
        .filter_map(|bin| Installation::probe(&bin, programs[0]))
        .collect();
    // Stable: what was looked at first stays first among equals.
    installations.sort_by_key(|installation| installation.major);
    installations
}

fn candidate_folders(cached_prefix: &str) -> Vec<PathBuf> {
    let mut folders = subfolders(Path::new("/usr/lib/postgresql"), "");
    folders.extend(subfolders(Path::new("/usr"), "pgsql-"));
    folders.extend(subfolders(Path::new("/opt/homebrew/opt"), "postgresql@"));
    folders.extend(subfolders(Path::new("/usr/local/opt"), "postgresql@"));
    let on_path = Command::new("pg_config").arg("--bindir").output().ok();
    if let Some(text) = on_path.and_then(|output| String::from_utf8(output.stdout).ok()) {
        let bin = PathBuf::from(text.trim());
        if bin.is_absolute() && !folders.contains(&bin) {
            folders.push(bin);
        }
    }
    folders.extend(subfolders(&cache_folder(), cached_prefix));
    folders
}

/// `<parent>/<prefix>*/bin`, sorted.
fn subfolders(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.is_dir())
        .collect();
    folders.sort();
    folders
}
