//! Settings of a copy that does not run. They are written to `postgresql.auto.conf`, which wins
//! over what came along, and where `ALTER SYSTEM` of the operator finds them later.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::account::Account;
use crate::error::{AtPath, PhysicalError};

/// One setting of `postgresql.auto.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value; `None` takes the line away, so that what stands elsewhere counts again.
    pub value: Option<String>,
}

impl Setting {
    /// Sets a value.
    pub fn set(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value.into()),
        }
    }

    /// Takes the line away.
    pub fn unset(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: None,
        }
    }
}

/// Writes settings; those that are not named stay.
pub(crate) fn write(
    account: &Account,
    data: &Path,
    settings: &[Setting],
) -> Result<(), PhysicalError> {
    let path = data.join("postgresql.auto.conf");
    let old = read_or_empty(&path)?;
    account.write(&path, changed(&old, settings).as_bytes())
}

/// The file's text with the settings changed.
fn changed(old: &str, settings: &[Setting]) -> String {
    let is_named = |line: &&str| {
        let name = line
            .split(|c: char| c == '=' || c.is_whitespace())
            .find(|word| !word.is_empty());
        name.is_some_and(|name| {
            settings
                .iter()
                .any(|setting| setting.name.eq_ignore_ascii_case(name))
        })
    };
    let mut text = String::new();
    for line in old.lines().filter(|line| !is_named(line)) {
        text.push_str(line);
        text.push('\n');
    }
    for Setting { name, value } in settings {
        if let Some(value) = value {
            let value = value.replace('\\', "\\\\").replace('\'', "''");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} = '{value}'");
        }
    }
    text
}

/// Heads the lines that make a copy use its own files.
const OWN_FILES: &str = "# Files of this copy; what stood above them was the original's.";

/// Makes the copy use its own folder and files, wherever those of the original are: a
/// configuration that names its data folder would start a server on the original's. Writes
/// what did not come along, because the original keeps it elsewhere.
pub(crate) fn own_files(account: &Account, data: &Path) -> Result<(), PhysicalError> {
    const HBA: &str = "# The original's pg_hba.conf is not in its data folder.
local all all peer
host all all 127.0.0.1/32 md5
host all all ::1/128 md5
";
    for (name, content) in [("pg_hba.conf", HBA), ("pg_ident.conf", "")] {
        let path = data.join(name);
        if !path.exists() {
            account.write(&path, content.as_bytes())?;
        }
    }
    let path = data.join("postgresql.conf");
    let mut text = read_or_empty(&path)?;
    if let Some(at) = text.find(OWN_FILES) {
        text.truncate(at);
    }
    let quoted = |path: &Path| path.display().to_string().replace('\'', "''");
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\n{OWN_FILES}\ndata_directory = '{}'\nhba_file = '{}'\nident_file = '{}'\n\
         external_pid_file = ''\n",
        quoted(data),
        quoted(&data.join("pg_hba.conf")),
        quoted(&data.join("pg_ident.conf")),
    );
    account.write(&path, text.as_bytes())
}

fn read_or_empty(path: &Path) -> Result<String, PhysicalError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(cause) => Err(cause).at("reading", path),
    }
}

#[cfg(test)]
mod tests {
    use super::{Setting, changed};

    #[test]
    fn a_setting_replaces_every_line_of_its_name_and_leaves_the_others() {
        let old = "# Do not edit\nPort=1\n port = '2'\nport_x = '3'\nwork_mem = '4MB'\n";
        let settings = [Setting::set("port", "5"), Setting::unset("work_mem")];
        assert_eq!(
            changed(old, &settings),
            "# Do not edit\nport_x = '3'\nport = '5'\n"
        );
    }

    #[test]
    fn quotes_and_backslashes_of_a_value_are_doubled() {
        let settings = [Setting::set("primary_conninfo", r"user='a' password=\b")];
        assert_eq!(
            changed("", &settings),
            "primary_conninfo = 'user=''a'' password=\\\\b'\n"
        );
    }
}
