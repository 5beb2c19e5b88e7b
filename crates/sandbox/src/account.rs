//! Which operating-system user the servers run as: ourselves, or `postgres` when we are root.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{AtPath, SandboxError};

/// The user that owns the data folders and runs the programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    /// User and group to change to, when we are root.
    change_to: Option<(u32, u32)>,
}

impl Account {
    /// The account to use in this process.
    pub(crate) fn current() -> Result<Self, SandboxError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { change_to: None });
        }
        let user = id_of_postgres("-u").ok_or(SandboxError::NoAccount)?;
        let group = id_of_postgres("-g").ok_or(SandboxError::NoAccount)?;
        Ok(Self {
            change_to: Some((user, group)),
        })
    }

    /// A command that runs as this account, in `/`, with none of our `PG*` variables.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = match self.change_to {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={user}"))
                    .arg(format!("--regid={group}"))
                    .arg("--init-groups")
                    .arg(program);
                command
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
        command
    }

    /// Runs a program to its end, and returns what it printed.
    pub(crate) fn run(self, program: &Path, arguments: &[String]) -> Result<String, SandboxError> {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .map_err(|cause| SandboxError::Spawn {
                program: program.display().to_string(),
                cause,
            })?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        Err(SandboxError::Program {
            program: program.display().to_string(),
            output: stdout + &String::from_utf8_lossy(&output.stderr),
        })
    }

    /// A new private folder of this account below `parent`, under a name that nobody has.
    pub(crate) fn new_folder(self, parent: &Path, prefix: &str) -> Result<PathBuf, SandboxError> {
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .at(parent)?;
        self.own(folder.path())?;
        Ok(folder.keep())
    }

    /// A new private folder for a server or a program: below `TRUNKLINE_SANDBOX_DIR`, else
    /// below the folder for temporary files.
    pub(crate) fn new_sandbox(self) -> Result<PathBuf, SandboxError> {
        let parent = env::var_os("TRUNKLINE_SANDBOX_DIR").map_or_else(env::temp_dir, PathBuf::from);
        self.new_folder(&parent, "trunkline-")
    }

    /// Hands a file or folder to this account.
    pub(crate) fn own(self, path: &Path) -> Result<(), SandboxError> {
        match self.change_to {
            None => Ok(()),
            Some((user, group)) => chown(path, Some(user), Some(group)).at(path),
        }
    }

    /// Writes a file that this account owns and only it reads.
    pub(crate) fn write(self, path: &Path, content: &[u8]) -> Result<(), SandboxError> {
        fs::write(path, content).at(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).at(path)?;
        self.own(path)
    }

    /// Copies a folder with all that is in it; links stay links.
    pub(crate) fn copy_folder(self, from: &Path, to: &Path) -> Result<(), SandboxError> {
        fs::create_dir(to).at(to)?;
        let permissions = fs::metadata(from).at(from)?.permissions();
        for entry in fs::read_dir(from).at(from)? {
            let entry = entry.at(from)?;
            let (old, new) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type().at(&old)?;
            if kind.is_dir() {
                self.copy_folder(&old, &new)?;
            } else if kind.is_symlink() {
                let aim = fs::read_link(&old).at(&old)?;
                std::os::unix::fs::symlink(aim, &new).at(&new)?;
            } else {
                fs::copy(&old, &new).at(&new)?;
                self.own(&new)?;
            }
        }
        fs::set_permissions(to, permissions).at(to)?;
        self.own(to)
    }
}

fn id_of_postgres(which: &str) -> Option<u32> {
    let output = Command::new("id").args([which, "postgres"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
