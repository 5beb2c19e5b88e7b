//! What `[seed]`, `[replica]` and `[relay]` say of a copy of the source that we make on this
//! machine, with `provider = "basebackup"`.

use std::path::{Path, PathBuf};

use trunkline_migration::Error;
use trunkline_migration::plan::BaseBackup;

use super::plan_error;

/// The keys of such a table.
#[derive(Default)]
pub(super) struct Keys<'a> {
    pub(super) data_directory: Option<&'a Path>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<&'a str>,
    pub(super) upgrade_to: Option<u32>,
    pub(super) programs: &'a [PathBuf],
}

impl Keys<'_> {
    /// Refuses them where somebody else makes the copy.
    pub(super) fn refuse(&self, table: &str) -> Result<(), Error> {
        let given = [
            ("data_directory", self.data_directory.is_some()),
            ("port", self.port.is_some()),
            ("user", self.user.is_some()),
            ("upgrade_to", self.upgrade_to.is_some()),
            ("programs", !self.programs.is_empty()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(plan_error(
                format!(
                    "[{table}] has `{key}`, which only means something with provider = \
                     \"basebackup\""
                ),
                format!("take `{key}` out, or say provider = \"basebackup\""),
            )),
            None => Ok(()),
        }
    }

    /// The copy, which is to be reached at `port`; `whose` is who that is in the plan.
    pub(super) fn base_backup(
        &self,
        table: &str,
        port: u16,
        whose: &str,
    ) -> Result<BaseBackup, Error> {
        let Some(data_directory) = self.data_directory else {
            return Err(plan_error(
                format!("[{table}] has provider = \"basebackup\" and no `data_directory`"),
                "name the new server's data folder, by its absolute path",
            ));
        };
        absolute(table, "data_directory", data_directory)?;
        for folder in self.programs {
            absolute(table, "programs", folder)?;
        }
        if let Some(given) = self.port.filter(|given| *given != port) {
            return Err(plan_error(
                format!("[{table}] port is {given}, and the {whose} is reached at {port}"),
                format!("the new server is the {whose}: leave `port` out, or make the two equal"),
            ));
        }
        Ok(BaseBackup {
            data_directory: data_directory.to_owned(),
            port,
            user: self.user.map(str::to_owned),
            upgrade_to: self.upgrade_to,
            programs: self.programs.to_vec(),
        })
    }
}

/// A relative path would be seen from wherever a command happens to be run.
pub(super) fn absolute(table: &str, key: &str, path: &Path) -> Result<(), Error> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(plan_error(
        format!(
            "[{table}] {key}: {} is not an absolute path",
            path.display()
        ),
        "write the whole path",
    ))
}
