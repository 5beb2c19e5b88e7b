//! What settings are completed from: variables, the user's home and name, where sockets are.
//! Injected, so that the rules can be tested without touching the process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The surroundings of the process, as libpq would see them.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    home: Option<PathBuf>,
    os_user: Option<String>,
    socket_directories: Vec<PathBuf>,
    system_configuration: Vec<PathBuf>,
}

impl Environment {
    /// The real surroundings of this process.
    pub fn of_process() -> Self {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let account = Account::of_process();
        let named = |name: &str| {
            variables
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        Self {
            home: named("HOME")
                .map(PathBuf::from)
                .or_else(|| account.as_ref().map(|account| account.home.clone())),
            os_user: account
                .map(|account| account.name)
                .or_else(|| named("USER"))
                .or_else(|| named("LOGNAME")),
            socket_directories: vec!["/var/run/postgresql".into(), "/tmp".into()],
            system_configuration: vec!["/etc/postgresql-common".into(), "/etc".into()],
            variables,
        }
    }

    /// Surroundings in which nothing is set.
    pub fn empty() -> Self {
        Self::default()
    }

    /// With an environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a home directory (`~/.pgpass`, `~/.pg_service.conf`, `~/.postgresql/`).
    #[must_use]
    pub fn with_home(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = Some(home.into());
        self
    }

    /// With the name of the operating system's user, libpq's default for `user`.
    #[must_use]
    pub fn with_os_user(mut self, name: &str) -> Self {
        self.os_user = Some(name.to_owned());
        self
    }

    /// With a directory in which the default server's socket is looked for.
    #[must_use]
    pub fn with_socket_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.socket_directories.push(directory.into());
        self
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A file below the home directory.
    pub(super) fn in_home(&self, path: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(path))
    }

    pub(super) fn os_user(&self) -> Option<&str> {
        self.os_user.as_deref()
    }

    /// The first directory that holds a server's socket for that port.
    pub(super) fn socket_directory(&self, port: u16) -> Option<&PathBuf> {
        self.socket_directories
            .iter()
            .find(|directory| directory.join(format!(".s.PGSQL.{port}")).exists())
    }

    /// Whether a socket directory is one that libpq defaults to, which the password file calls
    /// `localhost`.
    pub(super) fn is_default_socket_directory(&self, directory: &str) -> bool {
        self.socket_directories
            .iter()
            .any(|default| default.as_os_str() == directory)
    }

    /// The directories of the system-wide service file: `PGSYSCONFDIR`, or the usual ones.
    pub(super) fn system_configuration(&self) -> Vec<PathBuf> {
        match self.variable("PGSYSCONFDIR") {
            Some(directory) if !directory.is_empty() => vec![directory.into()],
            _ => self.system_configuration.clone(),
        }
    }
}

/// An entry of the operating system's user table.
struct Account {
    name: String,
    home: PathBuf,
}

impl Account {
    fn of_process() -> Option<Self> {
        Self::of_uid(fs::metadata("/proc/self").ok()?.uid())
    }

    fn of_uid(uid: u32) -> Option<Self> {
        let table = fs::read_to_string("/etc/passwd").ok()?;
        table.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, id, _, _, home, ..] = fields.as_slice() else {
                return None;
            };
            (id.parse() == Ok(uid)).then(|| Self {
                name: (*name).to_owned(),
                home: PathBuf::from(home),
            })
        })
    }
}

/// The operating system's name for a user id, for `requirepeer`.
pub(crate) fn user_name_of(uid: u32) -> Option<String> {
    Account::of_uid(uid).map(|account| account.name)
}
