//! The programs of the contestants.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::error::BenchError;

/// Where they are.
pub(crate) struct Tools {
    trunkline: PathBuf,
    /// PostgreSQL's client programs, of the servers' version.
    bin: PathBuf,
    pub(crate) pgcopydb: Option<PathBuf>,
}

impl Tools {
    pub(crate) fn find(trunkline: &Path) -> Result<Self, BenchError> {
        let servers = crate::servers::installation()?;
        let missing = |name: &str, hint| BenchError::Missing {
            name: name.to_owned(),
            hint,
        };
        if !servers.bin.join("pgbench").is_file() {
            return Err(missing(
                "pgbench",
                "apt-get install postgresql postgresql-client",
            ));
        }
        let trunkline = trunkline
            .canonicalize()
            .map_err(|cause| BenchError::file(trunkline, cause))?;
        Ok(Tools {
            trunkline,
            bin: servers.bin,
            pgcopydb: trunkline_sandbox::component_program("pgcopydb"),
        })
    }

    /// A client program of PostgreSQL's.
    pub(crate) fn postgres(&self, name: &str) -> Command {
        Command::new(self.bin.join(name))
    }

    /// A shell that finds PostgreSQL's client programs first.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PATH", self.path());
        command
    }

    /// The binary under test, with a folder for its migrations.
    pub(crate) fn trunkline(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.trunkline);
        command
            .env("TRUNKLINE_DIR", folder)
            .env("PATH", self.path())
            .current_dir(folder);
        command
    }

    fn path(&self) -> std::ffi::OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.bin.clone()).chain(std::env::split_paths(&path));
        std::env::join_paths(folders).unwrap_or(path)
    }

    /// What each program says of its version.
    pub(crate) async fn versions(&self) -> Vec<String> {
        let mut commands = vec![
            Command::new(&self.trunkline),
            self.postgres("postgres"),
            self.postgres("pg_dump"),
        ];
        commands.extend(self.pgcopydb.as_ref().map(Command::new));
        let mut versions = Vec::new();
        for mut command in commands {
            if let Ok(output) = command.arg("--version").output().await {
                let said = String::from_utf8_lossy(&output.stdout);
                versions.extend(said.lines().next().map(str::to_owned));
            }
        }
        versions
    }
}
