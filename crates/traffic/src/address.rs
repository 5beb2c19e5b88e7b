//! Where the two sides are, as a pooler or proxy sees them.

use std::fmt;
use std::net::IpAddr;

use trunkline_changes::Side;
use trunkline_postgres::Conninfo;

/// One side's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, an IP address (IPv6 without brackets) or the folder of a socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
}

/// Both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Where the source is.
    pub source: Address,
    /// Where the target is.
    pub target: Address,
}

/// An address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is not an address.
    #[error("{0:?} is not an address; write host:port/database, an IPv6 address in brackets")]
    Malformed(String),
    /// The component resolves no names.
    #[error("the {side}'s {host:?} is a name, and an IP address is needed")]
    Name {
        /// `source` or `target`.
        side: &'static str,
        /// The name.
        host: String,
    },
}

impl Address {
    /// The first server of a conninfo.
    pub fn of(conninfo: &Conninfo) -> Self {
        let (host, port) = conninfo.first_host();
        Address {
            host,
            port,
            database: conninfo.database().to_owned(),
        }
    }

    /// Reads `host:port/database`; without `/database` it is the one given.
    pub fn parse(text: &str, database: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::Malformed(text.to_owned());
        // A socket's folder has slashes of its own, so the port is looked for first.
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once("]:").ok_or_else(wrong)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                (host, rest)
            }
            None => text.split_once(':').ok_or_else(wrong)?,
        };
        let (port, database) = rest.split_once('/').unwrap_or((rest, database));
        let port: u16 = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || database.is_empty() || port == 0 {
            return Err(wrong());
        }
        Ok(Address {
            host: host.to_owned(),
            port,
            database: database.to_owned(),
        })
    }

    /// The address as numbers, for components that resolve no names.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl Addresses {
    /// The address of a side.
    pub fn of(&self, side: Side) -> &Address {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Both with numeric addresses.
    pub(crate) fn numeric(self) -> Result<Self, AddressError> {
        for side in [Side::Source, Side::Target] {
            let address = self.of(side);
            if address.ip().is_none() {
                return Err(AddressError::Name {
                    side: named(side),
                    host: address.host.clone(),
                });
            }
        }
        Ok(self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}/{}", self.host, self.port, self.database)
        } else {
            write!(f, "{}:{}/{}", self.host, self.port, self.database)
        }
    }
}

/// The name of a side.
pub(crate) fn named(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Target => "target",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in ["old:5432/orders", "[2001:db8::1]:1/x", "/run/pg:5432/o/x"] {
            let address = Address::parse(text, "unused").expect(text);
            assert_eq!(address.to_string(), text);
        }
        let without = Address::parse("10.0.0.1:6000", "orders").expect("it is short");
        assert_eq!(without.to_string(), "10.0.0.1:6000/orders");
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        for text in [
            "",
            "old",
            "old:",
            "old:x/y",
            ":5432/x",
            "a:0/x",
            "::1:5432/x",
            "a:1/",
        ] {
            assert!(Address::parse(text, "orders").is_err(), "{text}");
        }
    }
}
