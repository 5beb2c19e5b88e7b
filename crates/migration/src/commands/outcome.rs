//! How a migration ended, in a file of its folder that outlives the journal.

use crate::control::file;
use crate::error::Error;
use crate::phase::Phase;
use crate::plan::Plan;
use crate::report::{EndReport, SCHEMA_VERSION};
use crate::status::{OUTCOME_FILE, next_steps, outcome};

/// A migration that was given up may begin again. One that was completed may not: its target
/// serves clients, and to begin again would overwrite what they wrote.
pub(super) fn begin_anew(plan: &Plan) -> Result<(), Error> {
    let path = plan.dir.join(OUTCOME_FILE);
    if outcome(plan) == Some(Phase::Completed) {
        return Err(Error::Refused {
            why: format!("the migration `{}` is completed", plan.name),
            hint: format!(
                "give another one another --name; to begin this one again, remove {}",
                path.display()
            ),
        });
    }
    if path.is_file() {
        // What an end that was cut short left of a journal that had moved to the target.
        file::remove(&plan.dir)?;
    }
    match std::fs::remove_file(&path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
            path: path.display().to_string(),
            cause,
        }),
        _ => Ok(()),
    }
}

/// Another command ended the migration while it had it: completed, it is done.
pub(super) fn ended(plan: &Plan) -> Result<EndReport, Error> {
    if outcome(plan) != Some(Phase::Completed) {
        return Err(Error::Ended);
    }
    Ok(EndReport {
        schema_version: SCHEMA_VERSION,
        migration: plan.name.clone(),
        phase: Phase::Completed,
        done: vec!["another command completed the migration".to_owned()],
        next_steps: next_steps(Phase::Completed, false),
    })
}
