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

use std::process::ExitCode;

use clap::Parser;

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
    let result = runtime.block_on(commands::run(cli));
    // A name that nobody resolves is looked for in a thread, which must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::print_error(&error, json);
            ExitCode::from(error.exit_code())
        }
    }
}
