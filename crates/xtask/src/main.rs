//! The project's own tasks: set-up of a machine, the demo, the tests, and all that CI checks.
//!
//! Everything is idempotent and quick when there is nothing to do. Run `cargo xtask` for a list.

mod bench;
mod checks;
mod reference;
mod setup;
mod step;
mod suites;
mod tidy;

use std::env;
use std::process::ExitCode;

use setup::Purpose;
use step::Failure;

const USAGE: &str = "\
usage: cargo xtask TASK

  setup [--demo|--test]     installs what the demo or the tests need (default: --test)
  demo [ARGS]               set-up, then `trunkline demo`
  test [ARGS]               set-up, then all tests; ARGS go to the test runner
  checks                    formatting, lints, documentation, licences, tidiness
  ci                        checks, then test
  docs [--check]            writes docs/reference from the code, or says whether it is stale
  tidy                      long files, forbidden names and words
  bench load|apply|verify|cutover [--size small|full] [--pairs N] [--only WORKLOAD]
        [--tables N] [--print]
                            Trunkline and its peers in turn; writes docs/benchmarks.md
  torture --hours N [--seed S]   the long-running fault test
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[&str]) -> Result<(), Failure> {
    match words {
        ["setup"] | ["setup", "--test"] => setup::run(Purpose::Test),
        ["setup", "--demo"] => setup::run(Purpose::Demo),
        ["demo", arguments @ ..] => suites::demo(arguments),
        ["test", arguments @ ..] => suites::test(arguments),
        ["checks"] => checks::run(),
        ["ci"] => checks::run().and_then(|()| suites::test(&[])),
        ["docs"] => reference::write(),
        ["docs", "--check"] => reference::check(),
        ["bench", arguments @ ..] => bench::run(arguments),
        ["tidy"] => tidy::run(),
        ["torture", arguments @ ..] => suites::torture(arguments),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(Failure::new(format!(
            "unknown task {:?}\n\n{USAGE}",
            words.join(" ")
        ))),
    }
}
