//! Running a program to its end, in a process group of its own: `pg_basebackup` and
//! `pg_upgrade` have children. What it says on its error stream is told line by line, and its
//! end is kept for an error.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::error::PhysicalError;
use crate::limits::SAID_BYTES;

/// Who hears what a program says, a line at a time.
pub(crate) type Listener<'a> = &'a mut (dyn FnMut(&str) + Send);

/// Runs a program; `born` is told its process id, `listener` each line of its error stream.
pub(crate) async fn run(
    mut command: Command,
    program: &str,
    born: impl FnOnce(u32) -> Result<(), PhysicalError>,
    listener: Listener<'_>,
    cancel: &CancellationToken,
) -> Result<(), PhysicalError> {
    tracing::debug!(program, "running");
    let failed = |status: String, said: String| PhysicalError::Program {
        program: program.to_owned(),
        status,
        said,
    };
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| failed(cause.to_string(), String::new()))?;
    let group = child.id();
    if let Some(id) = group {
        born(id)?;
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut unheard = |_: &str| {};
    let work = async {
        let (out, err) = tokio::join!(hear(stdout, &mut unheard), hear(stderr, listener));
        let status = child.wait().await?;
        Ok::<_, std::io::Error>((status, out?, err?))
    };
    let ended = tokio::select! {
        () = cancel.cancelled() => {
            let group = group.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
            if let Some(group) = group {
                // ESRCH: it has just ended by itself.
                let _gone = kill_process_group(group, Signal::KILL);
            }
            return Err(PhysicalError::Cancelled);
        }
        ended = work => ended,
    };
    let (status, out, err) = ended.map_err(|cause| failed(cause.to_string(), String::new()))?;
    if status.success() {
        return Ok(());
    }
    let said = format!("{}\n{}", err.trim(), out.trim());
    Err(failed(status.to_string(), said.trim().to_owned()))
}

/// The end of what a stream says; lines end with `\n`, or `\r` where a program writes over
/// its own line.
async fn hear(
    stream: Option<impl AsyncRead + Unpin>,
    listener: Listener<'_>,
) -> std::io::Result<String> {
    let Some(mut stream) = stream else {
        return Ok(String::new());
    };
    let (mut piece, mut line, mut said) = ([0; 4096], Vec::new(), Vec::new());
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Ok(String::from_utf8_lossy(&said).into_owned());
        }
        for byte in &piece[..length] {
            if matches!(byte, b'\n' | b'\r') {
                listener(&String::from_utf8_lossy(&line));
                line.clear();
            } else if line.len() < SAID_BYTES {
                line.push(*byte);
            }
        }
        said.extend_from_slice(&piece[..length]);
        let surplus = said.len().saturating_sub(SAID_BYTES);
        said.drain(..surplus);
    }
}
