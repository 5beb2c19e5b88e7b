//! The benches: builds the binary as it is shipped, and runs `crates/bench` on it.

use crate::setup::{self, Purpose};
use crate::step::{Failure, Step, root};

/// Sets the machine up, builds, and runs one bench; `--print` writes no file.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let known = ["load", "apply", "verify", "cutover"];
    if !arguments.first().is_some_and(|what| known.contains(what)) {
        return Err(Failure::new(format!(
            "usage: cargo xtask bench {} [--size small|full] [--pairs N] [--only WORKLOAD] \
             [--print]",
            known.join("|")
        )));
    }
    setup::run(Purpose::Bench)?;
    let is_small = arguments.windows(2).any(|pair| pair == ["--size", "small"]);
    // A trial judges no times, and the tests have built that profile already.
    let (profile, folder) = if is_small {
        ("dev", "debug")
    } else {
        ("release", "release")
    };
    Step::cargo()
        .args(["build", "--quiet", "--locked", "--profile", profile])
        .args(["--package", "trunkline-cli"])
        .run()?;
    let rest = arguments.iter().filter(|argument| **argument != "--print");
    let mut step = Step::cargo()
        .args(["run", "--quiet", "--locked", "--profile", profile])
        .args(["--package", "trunkline-bench", "--"])
        .args(rest)
        .arg("--trunkline")
        .arg(root().join("target").join(folder).join("trunkline"));
    // A trial never takes the place of figures.
    if !is_small && !arguments.contains(&"--print") {
        step = step.arg("--docs").arg(root().join("docs"));
    }
    step.run()
}
