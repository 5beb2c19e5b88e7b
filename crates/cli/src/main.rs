//! The `trunkline` binary: arguments in, reports out. Data goes to stdout, logs and
//! progress to stderr; every decision is made in the library crates.

mod args;
mod commands;
mod demo;
mod interrupt;
mod logging;
mod notify;
mod output;
mod plan_file;
mod progress;
mod reference;
mod resolve;
mod saved_plan;
mod smoke;
mod traffic_plan;
mod transform_plan;

use std::io;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::thread::Builder;

use clap::Parser;

/// A whole command is one future, and lies on the stack of the thread that drives it. How large
/// the main thread's is, a shell or a container says (`ulimit -s`); of this one only what is used
/// takes memory.
const STACK_BYTES: usize = 64 << 20;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap prints them where they belong.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _printed = error.print();
            return ExitCode::from(code);
        }
    };
    logging::start(cli.log_format, cli.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime does not start");
            return ExitCode::from(1);
        }
    };
    let json = cli.json;
    let ran = std::thread::scope(|scope| {
        let thread = Builder::new().stack_size(STACK_BYTES);
        let command = thread.spawn_scoped(scope, || runtime.block_on(commands::run(cli)))?;
        Ok::<_, io::Error>(command.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // A name that nobody resolves is looked for in a thread, which must not hold up the end.
    runtime.shutdown_background();
    match ran {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(error)) => {
            output::print_error(&error, json);
            ExitCode::from(error.exit_code())
        }
        Err(error) => {
            tracing::error!(%error, "the command's thread does not start");
            ExitCode::from(1)
        }
    }
}
