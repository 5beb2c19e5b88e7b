//! Connection settings as libpq reads them: URI or key=value, completed from the service file,
//! the environment, the password file and libpq's defaults. What `Debug`, `Display` and
//! `without_password` show never holds a secret.

mod child;
mod environment;
mod error;
mod hosts;
mod key_value;
mod keyword;
mod passfile;
mod secret;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod uri;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use environment::Environment;
pub(crate) use environment::user_name_of;
pub use error::ConninfoError;
pub(crate) use hosts::{Host, Place};
use keyword::{KEYWORDS, Keyword, Secrecy};
use passfile::Passfile;
pub(crate) use secret::Secret;
pub(crate) use settings::{
    Demand, RootCertificates, Settings, SslMode, SslNegotiation, TargetSession, TlsSettings,
    TlsVersion,
};

/// Complete settings for connecting to one server, or to the first usable one of several
/// (manual, "Database Connection Control Functions").
#[derive(Clone)]
pub struct Conninfo {
    /// Values that may be shown, by keyword; `user`, `dbname`, `host` and `port` are always here.
    values: BTreeMap<&'static str, String>,
    secrets: BTreeMap<&'static str, Secret>,
    /// Whether the password is in the service file, which then has to be read again.
    password_of_service: bool,
    passfile: Arc<Passfile>,
    hosts: Vec<Host>,
    /// For each host, the name that the password file knows it by.
    passfile_hosts: Vec<String>,
    settings: Settings,
}

impl Conninfo {
    /// Reads a URI (`postgres://`, `postgresql://`) or key=value text and completes it from the
    /// service file, the process's environment, the password file and libpq's defaults.
    pub fn resolve(text: &str) -> Result<Self, ConninfoError> {
        Self::resolve_with(text, &Environment::of_process())
    }

    /// The same with given surroundings.
    pub fn resolve_with(text: &str, env: &Environment) -> Result<Self, ConninfoError> {
        let mut given = Given::default();
        given.add(parse(text.trim())?, Origin::Text)?;
        if let Some(name) = given.text("service").or_else(|| env.variable("PGSERVICE")) {
            let name = name.to_owned();
            given.add(service::load(&name, env)?, Origin::Service)?;
            given.add(vec![("service".to_owned(), name)], Origin::Service)?;
        }
        for keyword in KEYWORDS {
            if let Some(value) = keyword.variable.and_then(|variable| env.variable(variable)) {
                given.set(keyword, value.to_owned(), Origin::Environment);
            }
        }
        given.complete(env)
    }

    /// The role to log in as.
    pub fn user(&self) -> &str {
        self.value("user").unwrap_or_default()
    }

    /// The database to connect to.
    pub fn database(&self) -> &str {
        self.value("dbname").unwrap_or_default()
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        self.with_value("dbname", database)
    }

    /// The same with this password, which goes before any other source of one.
    #[must_use]
    pub fn with_password(&self, password: &str) -> Self {
        let mut changed = self.clone();
        changed.secrets.insert("password", Secret::new(password));
        changed
    }

    /// The same with the password that a connection would use, wherever it comes from, given
    /// outright: for a child that runs as another user and cannot read our password file.
    #[must_use]
    pub fn with_password_found(&self) -> Self {
        match self.password_for(0) {
            Some(password) => self.with_password(password.reveal()),
            None => self.clone(),
        }
    }

    /// A line of a password file that gives the password which a connection would use to every
    /// server: for another program's file. `None` if there is no password.
    pub fn passfile_line(&self) -> Option<String> {
        let password = self.password_for(0)?.reveal();
        let escaped = password.replace('\\', r"\\").replace(':', r"\:");
        Some(format!("*:*:*:*:{escaped}"))
    }

    /// The same with this `application_name`.
    #[must_use]
    pub fn with_application_name(&self, name: &str) -> Self {
        self.with_value("application_name", name)
    }

    /// Text without any secret that [`Conninfo::resolve`] reads back: what was given, by whatever
    /// way, is spelled out, so that it means the same server in another environment.
    pub fn without_password(&self) -> String {
        let kept = self
            .values
            .iter()
            .filter(|(name, _)| **name != "service" || self.password_of_service);
        key_value::write(kept.map(|(name, value)| (*name, value.as_str())))
    }

    /// `host:port/database`, for messages.
    pub fn label(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        format!("{}/{}", hosts.join(","), self.database())
    }

    /// The name (or socket directory) and port of the first host, for naming the server to
    /// others.
    pub fn first_host(&self) -> (String, u16) {
        match self.hosts.first() {
            Some(host) => (host.host_text(), host.port),
            // `hosts::read` makes at least one.
            None => (String::new(), 0),
        }
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn value(&self, keyword: &str) -> Option<&str> {
        self.values.get(keyword).map(String::as_str)
    }

    /// The password for the host with that number: the given one, else the password file's.
    pub(crate) fn password_for(&self, host: usize) -> Option<&Secret> {
        self.secrets.get("password").or_else(|| {
            let (name, port) = (self.passfile_hosts.get(host)?, self.hosts.get(host)?.port);
            self.passfile
                .password(name, port, self.database(), self.user())
        })
    }

    fn with_value(&self, keyword: &'static str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.values.insert(keyword, value.to_owned());
        changed
    }
}

impl fmt::Display for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.label(), self.user())
    }
}

impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conninfo({self})")
    }
}

fn parse(text: &str) -> Result<Vec<(String, String)>, ConninfoError> {
    match uri::strip_scheme(text) {
        Some(rest) => uri::parse(rest),
        None if text.contains("://") && !text.contains(['=', ' ']) => Err(ConninfoError::syntax(
            "a URI begins with postgres:// or postgresql://",
        )),
        None => key_value::parse(text),
    }
}

/// Where a value comes from; the first that gives a keyword wins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Text,
    Service,
    Environment,
}

/// Values as they were given, before defaults.
#[derive(Default)]
struct Given {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Given {
    fn add(&mut self, pairs: Vec<(String, String)>, origin: Origin) -> Result<(), ConninfoError> {
        for (name, value) in pairs {
            // libpq's keyword of the days before sslmode.
            let (name, value) = match (name.as_str(), value.as_str()) {
                ("requiressl", "1") => ("sslmode", "require".to_owned()),
                ("requiressl", "0") => ("sslmode", "prefer".to_owned()),
                (name, _) => (name, value),
            };
            self.set(keyword::find(name)?, value, origin);
        }
        Ok(())
    }

    /// Sets a value unless another origin has: within one, the last wins.
    fn set(&mut self, keyword: &'static Keyword, value: String, origin: Origin) {
        let known = self.values.get(keyword.name).map(|(_, origin)| *origin);
        if known.is_none_or(|known| known == origin) {
            self.values.insert(keyword.name, (value, origin));
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(|(value, _)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn complete(mut self, env: &Environment) -> Result<Conninfo, ConninfoError> {
        if self.text("sslmode").is_none() && env.variable("PGREQUIRESSL") == Some("1") {
            self.set(
                keyword::find("sslmode")?,
                "require".into(),
                Origin::Environment,
            );
        }
        // An empty value was only there to go before one from elsewhere.
        self.values.retain(|_, (value, _)| !value.is_empty());
        let password_of_service = matches!(self.values.get("password"), Some((_, Origin::Service)));
        let (mut values, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for (name, (value, _)) in self.values {
            match keyword::find(name)?.secrecy {
                Secrecy::Open => drop(values.insert(name, value)),
                Secrecy::Secret => drop(secrets.insert(name, Secret::new(value))),
            }
        }
        let hosts = hosts::read(&values, |port| match env.socket_directory(port) {
            Some(directory) => directory.display().to_string(),
            None => "localhost".to_owned(),
        })?;
        spell_out_defaults(&mut values, &hosts, env)?;
        let settings = Settings::read(&values, env)?;
        let passfile_hosts = hosts
            .iter()
            .map(Host::host_text)
            .map(|host| {
                if env.is_default_socket_directory(&host) {
                    return "localhost".to_owned();
                }
                host
            })
            .collect();
        let passfile = values
            .get("passfile")
            .map(std::path::PathBuf::from)
            .or_else(|| env.in_home(".pgpass"))
            .map(|path| Passfile::read(&path))
            .unwrap_or_default();
        Ok(Conninfo {
            values,
            secrets,
            password_of_service,
            passfile: Arc::new(passfile),
            hosts,
            passfile_hosts,
            settings,
        })
    }
}

/// Writes down who, where and what was meant, so that `without_password` and children repeat it.
fn spell_out_defaults(
    values: &mut BTreeMap<&'static str, String>,
    hosts: &[Host],
    env: &Environment,
) -> Result<(), ConninfoError> {
    let ports: Vec<String> = hosts.iter().map(|host| host.port.to_string()).collect();
    values.insert("port", ports.join(","));
    let names: Vec<String> = hosts.iter().map(Host::host_text).collect();
    values.insert("host", names.join(","));
    if !values.contains_key("user") {
        let user = env.os_user().ok_or_else(|| {
            ConninfoError::invalid("user", "given: this process's user has no name")
        })?;
        values.insert("user", user.to_owned());
    }
    let user = values["user"].clone();
    values.entry("dbname").or_insert(user);
    Ok(())
}
