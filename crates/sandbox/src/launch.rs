//! Starting a server so that there is no moment in which nobody would end it.
//!
//! The new process waits for a word from us before it becomes the server; we give it after
//! the watchdog knows the process. If we die before that, it reads the end of the pipe and goes.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::account::Account;
use crate::error::{AtPath, SandboxError};
use crate::watchdog::Watchdog;

const WAIT_FOR_THE_WORD: &str = r#"read -r word && exec "$@" </dev/null"#;

/// Starts a program under the watchdog; its output is appended to the log.
pub(crate) fn launch(
    account: Account,
    program: &Path,
    arguments: &[&OsStr],
    log: &Path,
    watchdog: &mut Watchdog,
) -> Result<Child, SandboxError> {
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .at(log)?;
    let errors = output.try_clone().at(log)?;
    let failed = |cause| SandboxError::Spawn {
        program: program.display().to_string(),
        cause,
    };
    let mut child = account
        .command(Path::new("/bin/sh"))
        .args(["-c", WAIT_FOR_THE_WORD, "trunkline-launch"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    watchdog.guard(Some(child.id()))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(b"go\n").map_err(failed)?;
    }
    Ok(child)
}
