//! One copy on this machine: its folder, the user that owns it, the programs that run it; its
//! start, stop and promotion by `pg_ctl`. The server is nobody's child: it outlives us.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::child;
use crate::control_file::ControlFile;
use crate::error::{AtPath, PhysicalError};
use crate::folder::{self, Made};
use crate::limits::{SAID_BYTES, SOCKET_FOLDER_BYTES, STOP_WITHIN};
use crate::programs::Programs;
use crate::settings::{self, Setting};

/// How a server is stopped (`pg_ctl`'s modes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Sessions are ended, a checkpoint is written.
    Fast,
    /// At once; the next start recovers.
    Immediate,
}

/// A copy on this machine.
#[derive(Clone, Debug)]
pub struct Instance {
    data: PathBuf,
    account: Account,
    programs: Programs,
}

impl Instance {
    /// A copy in `data`, an absolute path, whether or not it is there already.
    pub fn new(
        data: &Path,
        account: Account,
        programs: Programs,
    ) -> Result<Instance, PhysicalError> {
        if !data.is_absolute() || data.file_name().is_none() {
            return Err(PhysicalError::Folder {
                path: data.to_owned(),
                why: "a data folder is named by its absolute path".to_owned(),
            });
        }
        Ok(Instance {
            data: data.to_owned(),
            account,
            programs,
        })
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Who owns it.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What runs it.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// What stands in the folder, for one owner.
    pub fn made(&self, owner: &str) -> Result<Made, PhysicalError> {
        folder::made(&self.data, owner)
    }

    /// Whether the folder holds what was to be made there. What an earlier call left unfinished
    /// is removed; what somebody else has there is an error.
    pub(crate) async fn is_whole(&self, owner: &str) -> Result<bool, PhysicalError> {
        match self.made(owner)? {
            Made::Whole => Ok(true),
            Made::Nothing => Ok(false),
            Made::Unfinished => {
                self.remove(owner).await?;
                Ok(false)
            }
            Made::Foreign => Err(PhysicalError::Folder {
                path: self.data().to_owned(),
                why: "it is not empty, and what is in it is not ours".to_owned(),
            }),
        }
    }

    /// The head of its control file.
    pub fn control_file(&self) -> Result<ControlFile, PhysicalError> {
        ControlFile::read(&self.data)
    }

    /// Changes settings; they count from the next start or reload.
    pub fn configure(&self, settings: &[Setting]) -> Result<(), PhysicalError> {
        settings::write(&self.account, &self.data, settings)
    }

    /// Writes a file in the data folder, owned by its user: `standby.signal`, a password file.
    pub fn write_file(&self, name: &str, content: &str) -> Result<PathBuf, PhysicalError> {
        let path = self.data.join(name);
        self.account.write(&path, content.as_bytes())?;
        Ok(path)
    }

    /// Removes a file of the data folder, if it is there.
    pub fn remove_file(&self, name: &str) -> Result<(), PhysicalError> {
        let path = self.data.join(name);
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(cause).at("removing", path)
            }
            _ => Ok(()),
        }
    }

    /// A folder inside of the data folder that only its user enters, for a socket that nobody
    /// else is to reach.
    pub fn private_sockets(&self) -> Result<PathBuf, PhysicalError> {
        let folder = self.data.join("trunkline_sockets");
        if folder.as_os_str().len() > SOCKET_FOLDER_BYTES {
            return Err(PhysicalError::Folder {
                path: folder,
                why: format!("its name is too long for a socket ({SOCKET_FOLDER_BYTES} bytes)"),
            });
        }
        self.account.make_folder(&folder)?;
        Ok(folder)
    }

    /// Whether a server runs in the folder.
    pub async fn is_running(&self) -> bool {
        if !self.data.join("postmaster.pid").exists() {
            return false;
        }
        // 0: it runs; 3: it does not; 4: there is no data folder.
        let mut command = self.pg_ctl("status");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().await;
        status.is_ok_and(|status| status.success())
    }

    /// Starts the server and waits until it takes connections, or, as a standby, read-only
    /// ones. Nothing happens when it runs.
    pub async fn start(
        &self,
        within: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), PhysicalError> {
        if self.is_running().await {
            return Ok(());
        }
        let log = self.log();
        let mut command = self.pg_ctl("start");
        command
            .arg(format!("--timeout={}", within.as_secs()))
            .arg("--wait")
            .arg("--log")
            .arg(&log);
        let started = child::run(command, "pg_ctl", |_| Ok(()), &mut |_| {}, cancel).await;
        started.map_err(|error| match error {
            PhysicalError::Program {
                program, status, ..
            } => PhysicalError::Program {
                program: format!("{program} start in {}", self.data.display()),
                status,
                said: self.log_tail(),
            },
            error => error,
        })
    }

    /// Stops the server. Nothing happens when it does not run.
    pub async fn stop(&self, mode: StopMode) -> Result<(), PhysicalError> {
        if !self.is_running().await {
            return Ok(());
        }
        let mut command = self.pg_ctl("stop");
        command
            .arg(format!("--timeout={}", STOP_WITHIN.as_secs()))
            .arg(match mode {
                StopMode::Fast => "--mode=fast",
                StopMode::Immediate => "--mode=immediate",
            });
        let never = CancellationToken::new();
        child::run(command, "pg_ctl", |_| Ok(()), &mut |_| {}, &never).await
    }

    /// Makes a standby a server of its own, and waits until it takes writes.
    pub async fn promote(
        &self,
        within: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), PhysicalError> {
        let mut command = self.pg_ctl("promote");
        command.arg(format!("--timeout={}", within.as_secs()));
        child::run(command, "pg_ctl", |_| Ok(()), &mut |_| {}, cancel).await
    }

    /// Reads the configuration files again.
    pub async fn reload(&self) -> Result<(), PhysicalError> {
        let never = CancellationToken::new();
        let command = self.pg_ctl("reload");
        child::run(command, "pg_ctl", |_| Ok(()), &mut |_| {}, &never).await
    }

    /// Takes our receipt away: from now on the copy is the operator's alone.
    pub fn release(&self, owner: &str) -> Result<(), PhysicalError> {
        folder::release(&self.data, owner)
    }

    /// Stops the server and removes the folder, if its receipt names `owner`. Gives whether
    /// there was anything of ours. Can be repeated.
    pub async fn remove(&self, owner: &str) -> Result<bool, PhysicalError> {
        match self.made(owner)? {
            Made::Nothing | Made::Foreign => return Ok(false),
            Made::Unfinished => folder::end_orphans(&self.data).await?,
            Made::Whole => {}
        }
        self.stop(StopMode::Immediate).await?;
        folder::remove(&self.account, &self.data, owner)?;
        Ok(true)
    }

    /// The end of what the server has logged, as far as it logs where we started it.
    pub fn log_tail(&self) -> String {
        let bytes = std::fs::read(self.log()).unwrap_or_default();
        let from = bytes.len().saturating_sub(SAID_BYTES);
        String::from_utf8_lossy(&bytes[from..]).trim().to_owned()
    }

    fn log(&self) -> PathBuf {
        self.data.join("trunkline_start.log")
    }

    fn pg_ctl(&self, action: &str) -> tokio::process::Command {
        let mut command = self.account.command(&self.programs.path("pg_ctl"));
        command.arg(action).arg("--pgdata").arg(&self.data);
        command
    }
}
