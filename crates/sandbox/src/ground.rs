//! A folder in which programs under test start servers that are to outlive them: they, and the
//! folder, end with us all the same.

use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::error::SandboxError;
use crate::watchdog::Watchdog;

/// A folder of the servers' account. When it is dropped, or our process ends in whatever way,
/// the servers below it end, and it is removed.
#[derive(Debug)]
pub struct Ground {
    folder: PathBuf,
    _watchdog: Watchdog,
}

impl Ground {
    /// Makes the folder.
    pub fn new() -> Result<Self, SandboxError> {
        let account = Account::current()?;
        let folder = account.new_sandbox()?;
        Ok(Self {
            _watchdog: Watchdog::over_all_below(&folder)?,
            folder,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}
