//! What a machine needs for the demo and for the tests, installed where it is missing.

mod clients;
mod components;
mod packages;
mod servers;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use trunkline_sandbox::{cache_folder, client_programs, installed};

use crate::step::{Failure, Step, on_path};

/// What the machine is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The distribution's PostgreSQL.
    Demo,
    /// That, servers and client programs of the other versions, poolers and proxies.
    Test,
    /// The distribution's PostgreSQL, PgBouncer, and the peers that packages hold.
    Bench,
}

/// Installs what is missing.
pub(crate) fn run(purpose: Purpose) -> Result<(), Failure> {
    packages::postgresql()?;
    if purpose == Purpose::Test {
        // Tests of TLS make their certificates with it.
        packages::programs(&[("openssl", "openssl")])?;
        servers::other_versions()?;
        clients::other_versions()?;
        components::all()?;
        cargo_tools()?;
    }
    if purpose == Purpose::Bench {
        // A bench without a peer says so.
        for name in ["pgbouncer", "pgcopydb"] {
            components::package(name);
        }
    }
    let list = |found: Vec<trunkline_sandbox::Installation>| {
        let versions: Vec<String> = found.into_iter().map(|one| one.version).collect();
        versions.join(", ")
    };
    eprintln!("PostgreSQL servers: {}", list(installed()));
    eprintln!("PostgreSQL clients: {}", list(client_programs()));
    Ok(())
}

/// `cargo-deny` takes minutes to build, so only who asks for it gets it.
fn cargo_tools() -> Result<(), Failure> {
    if std::env::var_os("TRUNKLINE_DENY").is_some() && !on_path("cargo-deny") {
        Step::cargo()
            .args(["install", "--locked", "cargo-deny"])
            .run()?;
    }
    if !on_path("cargo-nextest") {
        eprintln!("cargo-nextest is not installed: cargo test serves instead");
    }
    Ok(())
}

/// The cache folder, made so that the user whom the servers run as can reach it.
fn cache() -> Result<PathBuf, Failure> {
    let folder = cache_folder();
    let failed = |error| Failure::io(folder.display(), &error);
    if !folder.is_dir() {
        fs::create_dir_all(&folder).map_err(failed)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    Ok(folder)
}

/// An empty folder beside its final place, so that moving it there is one rename.
fn workshop(name: &str) -> Result<PathBuf, Failure> {
    let folder = cache()?.join(format!("unfinished-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
    Ok(folder)
}

/// Lets everybody read a finished folder, and moves it to its place. Programs get their `x`.
fn install(finished: &Path, bin_folders: &[&str], place: &Path) -> Result<(), Failure> {
    for bin in bin_folders {
        Step::new("chmod")
            .args(["-R", "+x"])
            .arg(finished.join(bin))
            .run()?;
    }
    Step::new("chmod")
        .args(["-R", "a+rX,go-w"])
        .arg(finished)
        .run()?;
    if place.exists() {
        fs::remove_dir_all(place).map_err(|error| Failure::io(place.display(), &error))?;
    }
    fs::rename(finished, place).map_err(|error| Failure::io(place.display(), &error))
}
