//! The benches: Trunkline and its peers in turn on the same data, in one run. Each workload takes
//! its place in docs/benchmarks.json when it has ended, and docs/benchmarks.md is written anew
//! from the whole.

mod apply;
mod backlog;
mod contents;
mod cutover;
mod data;
mod error;
mod limits;
mod load;
mod machine;
mod measured;
mod page;
mod processes;
mod record;
mod servers;
mod steady;
mod tools;
mod turns;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use error::BenchError;
use tools::Tools;

/// Runs Trunkline and its peers on the same data.
#[derive(Parser, Debug)]
struct Args {
    /// What is measured.
    #[arg(value_enum)]
    what: What,
    /// How much data. `small` tries the harness out and judges no times.
    #[arg(long, value_enum, default_value = "full")]
    size: Size,
    /// How often each contestant runs.
    #[arg(long, default_value_t = 3)]
    pairs: u32,
    /// How many tables the workload `many` has, instead of what its size says.
    #[arg(long)]
    tables: Option<u64>,
    /// Only workloads of these names.
    #[arg(long)]
    only: Vec<String>,
    /// The binary under test.
    #[arg(long)]
    trunkline: PathBuf,
    /// The folder that benchmarks.json and benchmarks.md are written to; without it the result
    /// is printed only.
    #[arg(long)]
    docs: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The copy of a whole database.
    Load,
    /// A backlog of changes, drained; and the delay at a steady rate.
    Apply,
    /// The comparison of two whole databases.
    Verify,
    /// The pause that clients see.
    Cutover,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Load => "load",
            What::Apply => "apply",
            What::Verify => "verify",
            What::Cutover => "cutover",
        }
    }
}

/// How much data a bench works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Size {
    /// Seconds: tries the harness out.
    Small,
    /// What docs/benchmarks.md shows.
    Full,
}

/// What every bench is told.
struct Order {
    size: Size,
    pairs: u32,
    tables: u64,
    only: Vec<String>,
    tools: Tools,
    /// The name of the bench, as the record has it.
    bench: &'static str,
    /// The folder of the record; none to print only.
    docs: Option<PathBuf>,
}

impl Order {
    /// Whether a workload was asked for.
    fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == workload)
    }

    /// A number that is smaller in a trial.
    fn sized(&self, full: u64, small: u64) -> u64 {
        match self.size {
            Size::Full => full,
            Size::Small => small,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(args: Args) -> Result<(), BenchError> {
    let order = Order {
        size: args.size,
        pairs: args.pairs.max(1),
        tables: args.tables.unwrap_or(match args.size {
            Size::Full => data::MANY,
            Size::Small => data::MANY_IN_A_TRIAL,
        }),
        only: args.only,
        tools: Tools::find(&args.trunkline)?,
        bench: args.what.name(),
        docs: args.docs,
    };
    let bench = match args.what {
        What::Load => load::run(&order).await?,
        What::Apply => apply::run(&order).await?,
        What::Verify => verify::run(&order).await?,
        What::Cutover => cutover::run(&order).await?,
    };
    if bench.workloads.is_empty() {
        return Err(BenchError::NoWorkload {
            names: order.only.join(", "),
        });
    }
    if order.docs.is_none() {
        println!("{}", page::section(order.bench, &bench));
    }
    Ok(())
}
