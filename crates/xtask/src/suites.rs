//! The demo and the tests, each after its set-up.

use std::fs;

use crate::setup::{self, Purpose};
use crate::step::{Failure, Step, on_path, root};

/// Builds fast and runs fast enough: see `[profile.demo]` in `.cargo/config.toml`.
const DEMO_PROFILE: &str = "demo";

/// Sets the machine up and runs `trunkline demo`.
pub(crate) fn demo(arguments: &[&str]) -> Result<(), Failure> {
    setup::run(Purpose::Demo)?;
    Step::cargo()
        .args(["run", "--locked", "--profile", DEMO_PROFILE])
        .args(["--package", "trunkline-cli", "--", "demo"])
        .args(arguments)
        .run()
}

/// Sets the machine up and runs all tests; tells at the end which were skipped, and why.
pub(crate) fn test(arguments: &[&str]) -> Result<(), Failure> {
    setup::run(Purpose::Test)?;
    let skipped = root().join("target/skipped-tests");
    fs::create_dir_all(root().join("target"))
        .and_then(|()| fs::write(&skipped, ""))
        .map_err(|error| Failure::io(skipped.display(), &error))?;
    let outcome = if on_path("cargo-nextest") {
        let runner = Step::cargo()
            .args(["nextest", "run", "--workspace", "--locked"])
            .args(arguments)
            .env("TRUNKLINE_SKIPPED_TESTS", &skipped);
        // It runs no examples in documentation.
        runner.run().and_then(|()| {
            Step::cargo()
                .args(["test", "--doc", "--workspace", "--locked", "--quiet"])
                .run()
        })
    } else {
        Step::cargo()
            .args(["test", "--workspace", "--locked"])
            .args(arguments)
            .env("TRUNKLINE_SKIPPED_TESTS", &skipped)
            .run()
    };
    let list = fs::read_to_string(&skipped).unwrap_or_default();
    if !list.is_empty() {
        eprintln!("\nskipped tests: {}\n{list}", list.lines().count());
    }
    outcome
}

/// Runs the long fault test of the binary, in `crates/cli/tests/torture.rs`.
pub(crate) fn torture(arguments: &[&str]) -> Result<(), Failure> {
    let (hours, seed) = match arguments {
        ["--hours", hours] => (*hours, None),
        ["--hours", hours, "--seed", seed] => (*hours, Some(*seed)),
        _ => {
            return Err(Failure::new(
                "usage: cargo xtask torture --hours N [--seed S]",
            ));
        }
    };
    if !root().join("crates/cli/tests/torture.rs").is_file() {
        return Err(Failure::new("crates/cli/tests/torture.rs is not there yet"));
    }
    setup::run(Purpose::Test)?;
    let mut step = Step::cargo()
        .args(["test", "--locked", "--profile", DEMO_PROFILE])
        .args(["--package", "trunkline-cli", "--test", "torture"])
        .args(["--", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env("TRUNKLINE_TORTURE_HOURS", hours);
    if let Some(seed) = seed {
        step = step.env("TRUNKLINE_SEED", seed);
    }
    step.run()
}
