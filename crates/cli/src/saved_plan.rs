//! The plan that `run` saves in the migration's folder, so that later commands need no other
//! argument. Holds always: no password, and nothing of a run that was refused.

use std::path::Path;

use trunkline_migration::Error;
use trunkline_migration::status::OUTCOME_FILE;

use crate::plan_file::PlanFile;
use crate::resolve::{Resolved, file_error};

/// What `run` saves in the migration's folder.
pub(crate) const SAVED_PLAN: &str = "plan.toml";

/// What `run` saved. Of a migration that has ended only the servers are taken: the next one
/// makes its own choices.
pub(crate) fn saved(dir: &Path) -> Result<Option<PlanFile>, Error> {
    let path = dir.join(SAVED_PLAN);
    if !path.is_file() {
        return Ok(None);
    }
    let saved = PlanFile::read(&path)?;
    if !dir.join(OUTCOME_FILE).is_file() {
        return Ok(Some(saved));
    }
    Ok(Some(PlanFile {
        migration: saved.migration,
        source: saved.source,
        target: saved.target,
        ..PlanFile::default()
    }))
}

/// What was saved before, and whether the folder is new.
pub(crate) struct SavedBefore {
    plan: Option<String>,
    new_folder: bool,
}

impl Resolved {
    /// Saves the plan, without passwords, for later commands; gives what stood there.
    pub(crate) fn save(&self) -> Result<SavedBefore, Error> {
        let dir = &self.plan.dir;
        let new_folder = !dir.is_dir();
        std::fs::create_dir_all(dir).map_err(|cause| file_error(dir, cause))?;
        // To drop what stands on the target is said once, never remembered.
        let mut file = self.file.clone();
        file.structure.drop_if_exists = None;
        let before = SavedBefore {
            plan: std::fs::read_to_string(dir.join(SAVED_PLAN)).ok(),
            new_folder,
        };
        self.write(&file.to_text()?)?;
        Ok(before)
    }

    fn write(&self, text: &str) -> Result<(), Error> {
        let path = self.plan.dir.join(SAVED_PLAN);
        let temporary = self.plan.dir.join("plan.toml.new");
        std::fs::write(&temporary, text)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(|cause| file_error(&path, cause))
    }

    /// Puts back what stood there before [`Resolved::save`]. What cannot be put back is
    /// said, and no reason to end otherwise.
    pub(crate) fn unsave(&self, before: SavedBefore) {
        let dir = &self.plan.dir;
        let path = dir.join(SAVED_PLAN);
        let undone = match before.plan {
            Some(text) => self.write(&text),
            None => std::fs::remove_file(&path).map_err(|cause| file_error(&path, cause)),
        };
        if let Err(error) = undone {
            tracing::warn!(%error, "the saved plan is not what it was");
        }
        if before.new_folder {
            // Another run may have put something into it: then it stays.
            let _stays = std::fs::remove_dir(dir);
        }
    }
}
