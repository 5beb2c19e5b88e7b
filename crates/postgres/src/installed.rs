//! PostgreSQL's programs on this machine: in which folders they are looked for, and what a
//! program says of its version.

use std::collections::HashSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::ServerVersion;
use crate::limits::PROGRAM_VERSION_WITHIN;

/// Where distributions install PostgreSQL's programs, by the folder above and the prefix of a
/// version's name.
const PACKAGED: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
];

/// The folders of `PATH`.
pub fn folders_on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect()
}

/// The folders with programs of a distribution's packages.
pub fn packaged_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (parent, prefix) in PACKAGED {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let versions =
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        let mut bins: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
        bins.sort();
        folders.extend(bins);
    }
    folders
}

/// Those that exist, each once, in their order.
pub fn distinct_folders(folders: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let exists_and_is_new = |folder: &PathBuf| folder.is_dir() && seen.insert(folder.clone());
    folders.into_iter().filter(exists_and_is_new).collect()
}

/// What one of PostgreSQL's programs says of its version; `None` where it is none of them.
pub async fn program_version(program: &Path) -> Option<ServerVersion> {
    if !program.is_file() {
        return None;
    }
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PROGRAM_VERSION_WITHIN, command.output());
    let text = String::from_utf8(output.await.ok()?.ok()?.stdout).ok()?;
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    version.parse().ok()
}
