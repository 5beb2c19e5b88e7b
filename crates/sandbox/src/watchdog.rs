//! The process that outlives us for a moment, to end our servers and remove their data.
//!
//! It reads a pipe of which we hold the only writing end. Whatever ends us, SIGKILL included,
//! closes the pipe. `PR_SET_PDEATHSIG` would not do: it follows the thread, not the process.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::error::SandboxError;

/// Each line on the pipe names the process to end; an empty line means none.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
postmaster=
while read -r line; do postmaster=$line; done
if [ -n "$postmaster" ]; then
    kill -QUIT "$postmaster" 2>/dev/null
    kill -CONT "$postmaster" 2>/dev/null
    tries=0
    while kill -0 "$postmaster" 2>/dev/null && [ "$tries" -lt 120 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -KILL "$postmaster" 2>/dev/null
fi
rm -rf -- "$1"
"#;

/// When the pipe closes: ends each server whose data folder lies below the folder. A stale pid
/// file may name a process of somebody else; a postmaster works in its data folder.
const SCRIPT_FOR_ALL: &str = r#"
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

/// Ends the server that it was told of, or all below the folder, and removes the folder, when it is dropped or we die.
#[derive(Debug)]
pub(crate) struct Watchdog {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts a watchdog over a server's folder.
    pub(crate) fn over(folder: &Path) -> Result<Self, SandboxError> {
        Self::running(SCRIPT, folder)
    }

    /// Starts a watchdog over a folder in which others start servers.
    pub(crate) fn over_all_below(folder: &Path) -> Result<Self, SandboxError> {
        Self::running(SCRIPT_FOR_ALL, folder)
    }

    fn running(script: &str, folder: &Path) -> Result<Self, SandboxError> {
        let mut process = Command::new("sh")
            .args(["-c", script, "trunkline-watchdog"])
            .arg(folder)
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
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }

    /// Names the process that has to end with us, or that there is none now.
    pub(crate) fn guard(&mut self, postmaster: Option<u32>) -> Result<(), SandboxError> {
        let line = postmaster.map_or_else(String::new, |id| id.to_string()) + "\n";
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        pipe.write_all(line.as_bytes())
            .map_err(|cause| SandboxError::Spawn {
                program: "the watchdog".to_owned(),
                cause,
            })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Waiting lets the folder be gone when the server is.
        let _ = self.process.wait();
    }
}
