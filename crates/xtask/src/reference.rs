//! The reference pages in `docs/reference`, which the binary writes from its own definitions:
//! `trunkline generate-reference FOLDER`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::step::{Failure, Step, root};

/// Pages of the folder that people write: never compared, never removed.
const HAND_WRITTEN: &[&str] = &["plan.md"];

/// Writes the pages.
pub(crate) fn write() -> Result<(), Failure> {
    let pages = generated()?;
    let folder = root().join("docs/reference");
    let failed = |error| Failure::io(folder.display(), &error);
    fs::create_dir_all(&folder).map_err(failed)?;
    for name in committed(&folder)?
        .keys()
        .filter(|name| !pages.contains_key(*name))
    {
        fs::remove_file(folder.join(name)).map_err(failed)?;
    }
    for (name, text) in &pages {
        fs::write(folder.join(name), text).map_err(failed)?;
    }
    eprintln!("docs/reference: {} pages", pages.len());
    Ok(())
}

/// Fails when the pages are not what the code says.
pub(crate) fn check() -> Result<(), Failure> {
    let wanted = generated()?;
    let found = committed(&root().join("docs/reference"))?;
    if wanted.is_empty() && found.is_empty() {
        eprintln!("skipped: trunkline has no generate-reference yet");
        return Ok(());
    }
    let names = wanted.keys().chain(found.keys());
    let mut stale: Vec<&String> = names
        .filter(|name| wanted.get(*name) != found.get(*name))
        .collect();
    stale.sort();
    stale.dedup();
    if stale.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "docs/reference is stale: {stale:?}\nhint: cargo xtask docs"
    )))
}

fn generated() -> Result<BTreeMap<String, String>, Failure> {
    let folder = root().join("target/reference");
    let failed = |error| Failure::io(folder.display(), &error);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    let package = ["--quiet", "--locked", "--package", "trunkline-cli"];
    Step::cargo().arg("build").args(package).run()?;
    let made = Step::cargo()
        .arg("run")
        .args(package)
        .args(["--", "generate-reference"])
        .arg(&folder)
        .run();
    let pages = pages_in(&folder)?;
    // A binary that does not know the command yet has written nothing.
    if !pages.is_empty() {
        made?;
    }
    Ok(pages)
}

/// The generated pages of `docs/reference`, fresh or stale.
fn committed(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut pages = pages_in(folder)?;
    pages.retain(|name, _| !HAND_WRITTEN.contains(&name.as_str()));
    Ok(pages)
}

/// The pages of a folder with their text; none if there is no such folder.
fn pages_in(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text =
                fs::read_to_string(&path).map_err(|error| Failure::io(path.display(), &error))?;
            pages.insert(entry.file_name().to_string_lossy().into_owned(), text);
        }
    }
    Ok(pages)
}
