//! Habits that no compiler checks: long files, headers, names without a concept, stray words.

use std::fs;
use std::path::{Path, PathBuf};

use crate::step::{Failure, root};

/// Longer than this is worth a warning; shorter is up to the author.
const LINES_MOST: usize = 500;

/// Modules of these names have no concept.
const NAMELESS: &[&str] = &["util", "utils", "common", "helpers", "misc", "manager"];

/// Words that have no place in what we commit, written so that they are not found here.
const FORBIDDEN: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
];

/// What was read, by kind of file.
const EXTENSIONS: &[&str] = &["rs", "sql", "md", "toml", "sh"];

/// Fails on forbidden words, missing headers and nameless modules; warns of long files.
pub(crate) fn run() -> Result<(), Failure> {
    let mut findings = Vec::new();
    for path in files(&root())? {
        let text =
            fs::read_to_string(&path).map_err(|error| Failure::io(path.display(), &error))?;
        look_at(&path, &text, &mut findings);
    }
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "not tidy:\n  {}",
        findings.join("\n  ")
    )))
}

fn look_at(path: &Path, text: &str, findings: &mut Vec<String>) {
    let shown = path.strip_prefix(root()).unwrap_or(path).display();
    for (number, line) in text.lines().enumerate() {
        for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
            findings.push(format!("{shown}:{}: {word:?}", number + 1));
        }
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return;
    }
    if !text.starts_with("//!") {
        findings.push(format!("{shown}: begins without a //! header"));
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if NAMELESS.contains(&stem.as_ref()) {
        findings.push(format!("{shown}: a name without a concept"));
    }
    let lines = text.lines().count();
    if lines > LINES_MOST {
        eprintln!("warning: {shown} has {lines} lines");
    }
}

/// The project's text files, without what is built and what is hidden.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let failed = |error| Failure::io(folder.display(), &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
