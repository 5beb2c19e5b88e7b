//! `pg_basebackup` into a new folder. The password goes through the environment.

use tokio_util::sync::CancellationToken;
use trunkline_postgres::Conninfo;

use crate::child;
use crate::error::PhysicalError;
use crate::folder;
use crate::instance::Instance;
use crate::programs::backup_program;
use crate::settings;

/// What keeps the source's log while the copy is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupSlot {
    /// A slot that goes with the copy's session.
    Temporary,
    /// A physical slot that stands on the source, and stays.
    Named(String),
}

/// Where the copy comes from.
#[derive(Clone, Debug)]
pub struct Backup<'a> {
    /// The server; a standby will do.
    pub source: &'a Conninfo,
    /// What keeps its log.
    pub slot: BackupSlot,
    /// Further folders in which programs are looked for.
    pub programs: &'a [std::path::PathBuf],
}

/// How far the copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What was written, in bytes.
    pub done_bytes: u64,
    /// What there is to write, in bytes: an estimate.
    pub total_bytes: u64,
}

impl Instance {
    /// Copies the source into the data folder, which must be new or empty, and makes the copy
    /// use its own files. `owner` is written into the receipt that [`Instance::remove`] asks
    /// for. What an earlier call left unfinished is removed first; a whole copy is kept.
    pub async fn base_backup(
        &self,
        owner: &str,
        backup: &Backup<'_>,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: &CancellationToken,
    ) -> Result<(), PhysicalError> {
        if self.is_whole(owner).await? {
            return Ok(());
        }
        let major = self.programs().version().major();
        let program = backup_program(major, backup.programs).await?;
        folder::begin(self.account(), self.data(), owner, None)?;
        self.account().make_folder(self.data())?;
        let mut command = self.account().command(&program);
        command
            .envs(backup.source.with_password_found().child_environment())
            .arg("--pgdata")
            .arg(self.data())
            .arg("--dbname")
            .arg(backup.source.child_dbname())
            .args(["--checkpoint=fast", "--wal-method=stream", "--progress"])
            .args(["--no-password", "--label=trunkline"]);
        if let BackupSlot::Named(slot) = &backup.slot {
            command.arg(format!("--slot={slot}"));
        }
        let born = |id| folder::begin(self.account(), self.data(), owner, Some(id));
        let mut listener = |line: &str| progress_of(line).into_iter().for_each(&mut *progress);
        child::run(command, "pg_basebackup", born, &mut listener, cancel).await?;
        settings::own_files(self.account(), self.data())?;
        folder::finish(self.account(), self.data(), owner)
    }
}

/// Reads ` 41060/41060 kB (100%), 1/1 tablespace`.
fn progress_of(line: &str) -> Option<Progress> {
    let (numbers, _) = line.split_once(" kB")?;
    let (done, total) = numbers.trim().split_once('/')?;
    let bytes = |text: &str| text.trim().parse::<u64>().ok()?.checked_mul(1024);
    Some(Progress {
        done_bytes: bytes(done)?,
        total_bytes: bytes(total)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Progress, progress_of};

    #[test]
    fn the_programs_progress_is_read_and_its_other_words_are_not() {
        let read = progress_of("  1024/4096 kB (25%), 0/1 tablespace (...e/base/5/1234)");
        let expected = Progress {
            done_bytes: 1 << 20,
            total_bytes: 4 << 20,
        };
        assert_eq!(read, Some(expected));
        assert_eq!(progress_of("waiting for checkpoint"), None);
        assert_eq!(progress_of("could not write 3 kB"), None);
    }
}
