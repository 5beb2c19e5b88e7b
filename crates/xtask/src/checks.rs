//! What CI checks besides the tests.

use crate::step::{Failure, Step, on_path, root};
use crate::{reference, tidy};

/// Formatting, lints, documentation, licences and sources of dependencies, tidiness.
pub(crate) fn run() -> Result<(), Failure> {
    Step::cargo().args(["fmt", "--all", "--check"]).run()?;
    Step::cargo()
        .args(["clippy", "--workspace", "--all-targets", "--locked"])
        .args(["--", "--deny", "warnings"])
        .run()?;
    Step::cargo()
        .args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "--deny warnings")
        .run()?;
    dependencies()?;
    reference::check()?;
    tidy::run()
}

/// Licences, bans and sources need nothing but the lock file; advisories need their database.
fn dependencies() -> Result<(), Failure> {
    if !on_path("cargo-deny") {
        eprintln!(
            "skipped: cargo deny is not installed (TRUNKLINE_DENY=1 cargo xtask setup builds it)"
        );
        return Ok(());
    }
    let deny = || Step::new("cargo-deny").within(&root());
    deny()
        .args(["check", "licenses", "bans", "sources"])
        .run()?;
    if deny().args(["fetch", "db"]).succeeds() {
        return deny().args(["check", "advisories"]).run();
    }
    eprintln!("skipped: the advisory database cannot be fetched from here");
    Ok(())
}
