//! Packages of the distribution (Debian, Ubuntu), through apt.

use std::cell::OnceCell;
use std::env;

use trunkline_sandbox::{client_programs, installed};

use crate::step::{Failure, Step, on_path};

thread_local! {
    /// `apt-get update` runs once, and only if something is to be installed.
    static UPDATED: OnceCell<()> = const { OnceCell::new() };
}

/// The distribution's PostgreSQL: server with contrib, and client programs.
pub(super) fn postgresql() -> Result<(), Failure> {
    let mut packages = Vec::new();
    let cached = trunkline_sandbox::cache_folder();
    let system = |found: &trunkline_sandbox::Installation| !found.bin.starts_with(&cached);
    if !installed().iter().any(system) {
        packages.push("postgresql");
    }
    if !client_programs().iter().any(system) {
        packages.push("postgresql-client");
    }
    install(&packages)
}

/// Installs packages, unless all of these programs are there.
pub(super) fn programs(needed: &[(&str, &str)]) -> Result<(), Failure> {
    let packages: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    install(&packages)
}

/// Installs packages; nothing happens when there are none to install.
pub(super) fn install(packages: &[&str]) -> Result<(), Failure> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !on_path("apt-get") {
        return Err(Failure::new(format!(
            "missing: {list}\nhint: this machine has no apt-get; install them its own way"
        )));
    }
    if UPDATED.with(|done| done.set(()).is_ok()) {
        apt(&["update", "--quiet"])?;
    }
    let mut words = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    words.extend_from_slice(packages);
    apt(&words).map_err(|failure| {
        Failure::new(format!(
            "{failure}\nhint: run `apt-get install {list}` as root"
        ))
    })
}

/// As root, or through sudo if that asks for no password.
fn apt(words: &[&str]) -> Result<(), Failure> {
    let quiet = "DEBIAN_FRONTEND=noninteractive";
    let is_root = Step::new("id").arg("-u").output()?.trim() == "0";
    let step = if is_root {
        Step::new("env")
    } else if on_path("sudo") && Step::new("sudo").args(["-n", "true"]).succeeds() {
        Step::new("sudo").args(["-n", "env"])
    } else {
        let user = env::var("USER").unwrap_or_default();
        return Err(Failure::new(format!(
            "{user} may not install packages: neither root, nor sudo without a password"
        )));
    };
    step.arg(quiet).arg("apt-get").args(words).run()
}
