//! A folder in which programs under test start servers that are to outlive them: they, and the
//! folder, end with us all the same.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt;

use crate::account::Account;
use crate::error::SandboxError;

/// When the pipe closes: ends each server whose data folder lies below the folder. A stale pid
/// file may name a process of somebody else; a postmaster works in its data folder.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
cat > /dev/null
servers() {
    find "$1" -name postmaster.pid 2>/dev/null | while read -r file; do
        id=$(head -n 1 "$file")
        [ "$(readlink "/proc/$id/cwd")" = "$(dirname "$file")" ] && echo "$id"
    done
}
for id in $(servers "$1"); do kill -QUIT "$id" 2>/dev/null; done
tries=0
while [ -n "$(servers "$1")" ] && [ "$tries" -lt 120 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
for id in $(servers "$1"); do kill -KILL "$id" 2>/dev/null; done
rm -rf -- "$1"
"#;

/// A folder of the servers' account. When it is dropped, or our process ends in whatever way,
/// the servers below it end, and it is removed.
#[derive(Debug)]
pub struct Ground {
    folder: PathBuf,
    watchdog: Child,
}

impl Ground {
    /// Makes the folder.
    pub fn new() -> Result<Self, SandboxError> {
        let account = Account::current()?;
        let parent = env::var_os("TRUNKLINE_SANDBOX_DIR").map_or_else(env::temp_dir, PathBuf::from);
        let folder = account.new_folder(&parent, "trunkline-")?;
        let watchdog = Command::new("sh")
            .args(["-c", SCRIPT, "trunkline-watchdog"])
            .arg(&folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|cause| SandboxError::Spawn {
                program: "sh".to_owned(),
                cause,
            })?;
        Ok(Self { folder, watchdog })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Waiting lets the folder be gone when the servers are.
        let _ = self.watchdog.wait();
    }
}
