//! Tests that cannot run here say so, on their output and in the list of `cargo xtask test`.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::thread;

use trunkline_sandbox::installed;

/// Why a test that needs these versions cannot run, or `None` when they are all there.
///
/// With `CI=true` in the environment a missing version is a failure, not a reason to skip.
pub fn missing(majors: &[u32]) -> Option<String> {
    let there = installed();
    let lacking = majors
        .iter()
        .find(|major| !there.iter().any(|found| found.major == **major))?;
    let reason = format!("PostgreSQL {lacking} is not in the cache; run cargo xtask setup");
    assert!(
        env::var("CI").as_deref() != Ok("true"),
        "{reason} (CI=true: not skipped)"
    );
    Some(reason)
}

/// Reports that the calling test is skipped. Test runners hide what a passing test prints, so
/// the reason is also appended to the file that `$TRUNKLINE_SKIPPED_TESTS` names.
pub fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
    let Some(list) = env::var_os("TRUNKLINE_SKIPPED_TESTS") else {
        return;
    };
    let thread = thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("a test"));
    let file = OpenOptions::new().append(true).create(true).open(list);
    // One write, so that the lines of several processes do not mix.
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    assert!(written.is_ok(), "cannot list a skipped test: {written:?}");
}

/// Returns from the test, saying why, unless servers of all these major versions are installed.
#[macro_export]
macro_rules! skip_unless_available {
    ($($major:expr),+ $(,)?) => {
        if let Some(reason) = $crate::missing(&[$($major),+]) {
            $crate::skipped(&reason);
            return;
        }
    };
}
