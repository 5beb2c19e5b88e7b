//! What makes a copy a standby of its original.

use trunkline_postgres::Conninfo;

use crate::error::PhysicalError;
use crate::instance::Instance;
use crate::settings::Setting;

/// The password of `primary_conninfo`, in the data folder.
const PASSWORD_FILE: &str = "trunkline.passfile";

impl Instance {
    /// Makes the copy a standby that streams from `original` when it is started. The password
    /// is written to a file that only the server's user reads, not to the settings, which
    /// every role that reads `pg_settings` may see.
    pub fn follow(
        &self,
        original: &Conninfo,
        slot: Option<&str>,
        application_name: &str,
    ) -> Result<(), PhysicalError> {
        let named = original.with_application_name(application_name);
        let mut primary = named.without_password();
        match original.passfile_line() {
            Some(line) => {
                let path = self.write_file(PASSWORD_FILE, &format!("{line}\n"))?;
                let path = path.display().to_string();
                let path = path.replace('\\', "\\\\").replace('\'', "\\'");
                // Of a keyword that stands twice, libpq takes the last.
                primary = format!("{primary} passfile='{path}'");
            }
            None => self.remove_file(PASSWORD_FILE)?,
        }
        self.configure(&[
            Setting::set("primary_conninfo", primary),
            match slot {
                Some(slot) => Setting::set("primary_slot_name", slot),
                None => Setting::unset("primary_slot_name"),
            },
            Setting::set("hot_standby", "on"),
            Setting::unset("recovery_target"),
            Setting::unset("recovery_target_action"),
        ])?;
        self.write_file("standby.signal", "")?;
        Ok(())
    }

    /// Whether the copy, which [`Instance::follow`] was called for, was promoted: it follows
    /// nothing, and has been started.
    pub fn was_promoted(&self) -> bool {
        // A server removes the one when it is promoted, and the other when it starts.
        let is_there = |name: &str| self.data().join(name).exists();
        !is_there("standby.signal") && !is_there("backup_label")
    }

    /// Makes the copy recover only until it is consistent, and wait there, when it is started:
    /// then [`crate::recovery`] says its exact position, and [`crate::end_recovery`] makes it a
    /// server of its own. It reads the log that came with the copy, and no other.
    pub fn stop_when_consistent(&self) -> Result<(), PhysicalError> {
        self.configure(&[
            Setting::unset("primary_conninfo"),
            Setting::unset("primary_slot_name"),
            // Recovery insists on one; there is nothing to fetch.
            Setting::set("restore_command", "false"),
            Setting::unset("recovery_target_lsn"),
            Setting::unset("recovery_target_name"),
            Setting::unset("recovery_target_time"),
            Setting::unset("recovery_target_xid"),
            Setting::set("recovery_target", "immediate"),
            Setting::set("recovery_target_action", "pause"),
            Setting::set("hot_standby", "on"),
        ])?;
        self.remove_file("standby.signal")?;
        self.write_file("recovery.signal", "")?;
        Ok(())
    }

    /// Takes away what [`Instance::follow`] and [`Instance::stop_when_consistent`] wrote, once
    /// the copy is a server of its own.
    pub fn forget_recovery(&self) -> Result<(), PhysicalError> {
        self.configure(&[
            Setting::unset("primary_conninfo"),
            Setting::unset("primary_slot_name"),
            Setting::unset("restore_command"),
            Setting::unset("recovery_target"),
            Setting::unset("recovery_target_action"),
        ])?;
        self.remove_file(PASSWORD_FILE)
    }
}
