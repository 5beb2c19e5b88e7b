//! The list of servers to try (manual, "Specifying Multiple Hosts").

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::error::ConninfoError;

/// PostgreSQL's port.
const DEFAULT_PORT: u16 = 5432;

/// Where one server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The directory of a unix socket.
    Directory(PathBuf),
    /// A name to resolve, unless `hostaddr` gives the address.
    Name {
        name: String,
        address: Option<IpAddr>,
    },
}

/// One server of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) place: Place,
    pub(crate) port: u16,
}

impl Host {
    /// The socket's path, for a server that is reached by one.
    pub(crate) fn socket_path(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Directory(directory) => Some(directory.join(format!(".s.PGSQL.{}", self.port))),
            Place::Name { .. } => None,
        }
    }

    /// What `host` says: the directory or the name.
    pub(crate) fn host_text(&self) -> String {
        match &self.place {
            Place::Directory(directory) => directory.display().to_string(),
            Place::Name { name, .. } => name.clone(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Directory(directory) => write!(f, "{}:{}", directory.display(), self.port),
            Place::Name { name, .. } if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Place::Name { name, .. } => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Reads `host`, `hostaddr` and `port`; `default_host` says where a server is when `host` does
/// not.
pub(super) fn read(
    values: &BTreeMap<&'static str, String>,
    default_host: impl Fn(u16) -> String,
) -> Result<Vec<Host>, ConninfoError> {
    let list = |keyword: &str| -> Option<Vec<&str>> {
        let text = values.get(keyword)?;
        Some(text.split(',').map(str::trim).collect())
    };
    let (names, addresses) = (list("host"), list("hostaddr"));
    let count = addresses.as_ref().or(names.as_ref()).map_or(1, Vec::len);
    if names.as_ref().is_some_and(|names| names.len() != count) {
        return Err(ConninfoError::invalid(
            "hostaddr",
            "as many addresses as host has names",
        ));
    }
    let ports = list("port").unwrap_or_else(|| vec![""]);
    if ports.len() != 1 && ports.len() != count {
        return Err(ConninfoError::invalid(
            "port",
            "one number, or as many as there are hosts",
        ));
    }
    (0..count)
        .map(|at| {
            let port = port(ports.get(at).unwrap_or(&ports[0]))?;
            let name = names.as_ref().map_or("", |names| names[at]);
            let address = match addresses.as_ref().map_or("", |addresses| addresses[at]) {
                "" => None,
                text => Some(text.parse().map_err(|_| {
                    ConninfoError::invalid("hostaddr", "a list of IPv4 or IPv6 addresses")
                })?),
            };
            host(name, address, port, &default_host)
        })
        .collect()
}

fn port(text: &str) -> Result<u16, ConninfoError> {
    match text {
        "" => Ok(DEFAULT_PORT),
        _ => text
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| ConninfoError::invalid("port", "a number from 1 to 65535")),
    }
}

fn host(
    name: &str,
    address: Option<IpAddr>,
    port: u16,
    default_host: &impl Fn(u16) -> String,
) -> Result<Host, ConninfoError> {
    let name = match (name, address) {
        ("", Some(address)) => address.to_string(),
        ("", None) => default_host(port),
        _ => name.to_owned(),
    };
    if name.starts_with('@') {
        return Err(ConninfoError::Unsupported {
            keyword: "host",
            why: "a socket in the abstract namespace; give the socket's directory",
        });
    }
    let place = if name.starts_with('/') && address.is_none() {
        Place::Directory(name.into())
    } else {
        Place::Name { name, address }
    };
    Ok(Host { place, port })
}
