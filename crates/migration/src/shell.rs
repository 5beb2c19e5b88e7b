//! A command of the operator's, run by the shell. Holds always: a command that outlives its
//! time, or whose caller is gone, is ended with everything that it started, also when our own
//! process is killed: one that went on holding clients behind the next command's release would
//! hold them for good.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use trunkline_changes::Side;

use crate::limits::{COMMAND_SAID_BYTES, COMMAND_SAYS_WITHIN};
use crate::plan::Plan;

/// What the commands of a migration get in their environment.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The migration's name.
    pub migration: String,
    /// `host:port/database` of the source.
    pub source: String,
    /// `host:port/database` of the target.
    pub target: String,
}

impl Scene {
    /// The scene of a plan's migration.
    pub fn of(plan: &Plan) -> Scene {
        Scene {
            migration: plan.name.clone(),
            source: plan.source.label(),
            target: plan.target.label(),
        }
    }
}

/// Why a command did not end as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    /// It ended with another status than 0, or by a signal.
    #[error("{status}: {said}")]
    Failed {
        /// How it ended, in the system's words.
        status: String,
        /// The beginning of what it wrote to stderr.
        said: String,
    },
    /// It was ended because its time was over.
    #[error("it took too long")]
    TooLong,
    /// It could not be run at all.
    #[error("{0}")]
    NotRun(String),
}

/// Runs a command with `TRUNKLINE_MIGRATION`, `TRUNKLINE_STEP`, `TRUNKLINE_SOURCE`,
/// `TRUNKLINE_TARGET` (`host:port/database`, no password) and `TRUNKLINE_SERVES` (`source` or
/// `target`) in its environment. Gives the beginning of what it wrote to its standard output.
pub async fn run(
    scene: &Scene,
    step: &str,
    serves: Side,
    command: &str,
    within: Duration,
) -> Result<String, ShellError> {
    let not_run = |error: std::io::Error| ShellError::NotRun(error.to_string());
    let mut group = Group::new().map_err(not_run)?;
    let child = Command::new("/bin/sh")
        .args(["-c", command])
        .env("TRUNKLINE_MIGRATION", &scene.migration)
        .env("TRUNKLINE_STEP", step)
        .env("TRUNKLINE_SOURCE", &scene.source)
        .env("TRUNKLINE_TARGET", &scene.target)
        .env("TRUNKLINE_SERVES", serves.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(group.number())
        .spawn();
    let mut child = child.map_err(not_run)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = {
        let reading = {
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            let (out, err) = (&mut out, &mut err);
            async move { tokio::join!(beginning(stdout, out), beginning(stderr, err)) }
        };
        tokio::pin!(reading);
        let ending = async {
            let status = tokio::select! {
                status = child.wait() => status,
                _ = &mut reading => return child.wait().await,
            };
            // What the command left running may hold the pipes open: nobody waits for that.
            let _rest = tokio::time::timeout(COMMAND_SAYS_WITHIN, &mut reading).await;
            status
        };
        tokio::time::timeout(within, ending).await
    };
    let status = match ended {
        Err(_) => return Err(ShellError::TooLong),
        Ok(Err(error)) => return Err(not_run(error)),
        Ok(Ok(status)) => status,
    };
    group.has_ended();
    if status.success() {
        return Ok(text(&out));
    }
    Err(ShellError::Failed {
        status: status.to_string(),
        said: text(&err),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Keeps the beginning of a pipe, and reads the rest so that its writer is not held up.
async fn beginning(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    // What cannot be read is only missing from the message.
    let _unread = (&mut pipe).take(COMMAND_SAID_BYTES).read_to_end(kept).await;
    let _unread = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
}

/// The process group that a command runs in; it ends with this value.
struct Group {
    /// Its leader, there before the command: it ends the group when the pipe that we have of it
    /// closes, by whatever end of ours.
    watchdog: Child,
    id: Option<Pid>,
}

impl Group {
    fn new() -> std::io::Result<Self> {
        let watchdog = Command::new("/bin/sh")
            .args(["-c", "read -r _; kill -KILL 0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let id = watchdog.id().and_then(|id| i32::try_from(id).ok());
        Ok(Group {
            watchdog,
            id: id.and_then(Pid::from_raw),
        })
    }

    /// What the command is started in.
    fn number(&self) -> i32 {
        self.id.map_or(0, |id| id.as_raw_nonzero().get())
    }

    /// The command ended by itself: what it left running goes on.
    fn has_ended(&mut self) {
        self.id = None;
        if let Err(error) = self.watchdog.start_kill() {
            tracing::debug!(%error, "the watchdog of a command has ended before it");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // Nothing is left to do about a group that is gone.
            let _gone = kill_process_group(id, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPLE: Duration = Duration::from_secs(20);

    async fn said(command: &str, within: Duration) -> Result<String, ShellError> {
        let scene = Scene {
            migration: "m".to_owned(),
            source: "a:1/x".to_owned(),
            target: "b:2/x".to_owned(),
        };
        run(&scene, "smoke", Side::Target, command, within).await
    }

    #[tokio::test]
    async fn a_command_sees_the_scene_and_what_it_says_is_given() {
        let command = "echo \"$TRUNKLINE_MIGRATION $TRUNKLINE_STEP $TRUNKLINE_SERVES\"";
        assert_eq!(said(command, AMPLE).await, Ok("m smoke target".to_owned()));
    }

    #[tokio::test]
    async fn a_command_that_says_much_ends_and_the_beginning_is_kept() {
        let text = said("yes | head -c 1000000", AMPLE).await.expect("it ends");
        let kept = u64::try_from(text.len()).expect("a length");
        assert!(kept <= COMMAND_SAID_BYTES && kept > 100, "{kept}");
    }

    #[tokio::test]
    async fn what_a_command_leaves_running_is_not_waited_for() {
        let began = std::time::Instant::now();
        let text = said("sleep 30 & echo $!", AMPLE).await.expect("it ends");
        assert!(began.elapsed() < Duration::from_secs(10));
        let left: i32 = text.parse().expect("a process id");
        let left = Pid::from_raw(left).expect("a process id");
        rustix::process::kill_process(left, Signal::KILL).expect("it still runs");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("child");
        let command = format!("sleep 60 & echo $! > '{}'; wait", file.display());
        let ended = said(&command, Duration::from_secs(2)).await;
        assert_eq!(ended, Err(ShellError::TooLong));
        let child = std::fs::read_to_string(&file).expect("the child had started");
        let child = Pid::from_raw(child.trim().parse().expect("a number")).expect("a number");
        trunkline_testkit::until(AMPLE, async || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero()));
            // A process that nobody waited for yet has ended all the same.
            state.map_or(true, |state| state.contains(") Z"))
        })
        .await;
    }
}
