//! One program, run and measured: wall time, CPU time of its own and of the servers, memory.

use std::process::Stdio;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::BenchError;
use crate::limits::LOOK_EVERY;
use crate::processes::{cpu_seconds, memory_bytes, waited_seconds};
use crate::servers::Pair;

/// What one run took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// From start to end.
    pub(crate) seconds: f64,
    /// CPU of the program and what it started.
    pub(crate) client_cpu_seconds: f64,
    /// CPU of the source.
    pub(crate) source_cpu_seconds: f64,
    /// CPU of the target.
    pub(crate) target_cpu_seconds: f64,
    /// The most memory that the program held at a look.
    pub(crate) peak_bytes: u64,
}

/// The CPU that servers have used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServersCpu {
    source: f64,
    target: f64,
}

impl ServersCpu {
    pub(crate) fn now(pair: &Pair) -> Self {
        let of = |id: Option<u32>| id.map_or(0.0, cpu_seconds);
        ServersCpu {
            source: of(pair.source.process_id()),
            target: of(pair.target.process_id()),
        }
    }

    /// Writes what was used since into a measurement.
    pub(crate) fn since(self, pair: &Pair, measured: &mut Measured) {
        let now = ServersCpu::now(pair);
        measured.source_cpu_seconds = now.source - self.source;
        measured.target_cpu_seconds = now.target - self.target;
    }
}

/// Runs a program to its end; anything but success is an error that shows what it said.
pub(crate) async fn measure(pair: &Pair, command: &mut Command) -> Result<Measured, BenchError> {
    let program = format!("{:?}", command.as_std());
    let failed = |how: String, said: String| BenchError::Program {
        program: program.clone(),
        how,
        said,
    };
    let servers = ServersCpu::now(pair);
    let waited = waited_seconds();
    let began = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string(), String::new()))?;
    let id = child.id().unwrap_or_default();
    let mut ended = std::pin::pin!(child.wait_with_output());
    let mut peak_bytes = 0;
    let output = loop {
        tokio::select! {
            output = &mut ended => break output,
            () = tokio::time::sleep(LOOK_EVERY) => {
                peak_bytes = peak_bytes.max(memory_bytes(id));
            }
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let output = output.map_err(|error| failed(error.to_string(), String::new()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let from = said.char_indices().rev().nth(3000).map_or(0, |(at, _)| at);
        return Err(failed(output.status.to_string(), said[from..].to_owned()));
    }
    let mut measured = Measured {
        seconds,
        client_cpu_seconds: waited_seconds() - waited,
        peak_bytes,
        ..Measured::default()
    };
    servers.since(pair, &mut measured);
    Ok(measured)
}
