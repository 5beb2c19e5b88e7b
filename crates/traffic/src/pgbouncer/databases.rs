//! What PgBouncer says about its databases: `SHOW DATABASES`, read by the names of columns,
//! because versions differ in their order and number.

use trunkline_postgres::ConsoleRow;

use crate::address::Address;

/// A database as PgBouncer serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) name: String,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) database: Option<String>,
    /// `None`: the pooler's default.
    pub(crate) pool_mode: Option<String>,
    pub(crate) is_paused: bool,
}

/// A field that is there and not empty.
pub(crate) fn field(row: &ConsoleRow, name: &str) -> Option<String> {
    row.get(name)
        .cloned()
        .flatten()
        .filter(|text| !text.is_empty())
}

impl Served {
    pub(crate) fn read(row: &ConsoleRow) -> Option<Served> {
        Some(Served {
            name: field(row, "name")?,
            host: field(row, "host"),
            port: field(row, "port").and_then(|text| text.parse().ok()),
            database: field(row, "database"),
            pool_mode: field(row, "pool_mode"),
            is_paused: field(row, "paused").is_some_and(|text| text != "0"),
        })
    }

    /// Whether its clients go to this address.
    pub(crate) fn goes_to(&self, address: &Address) -> bool {
        self.host.as_deref() == Some(&address.host)
            && self.port == Some(address.port)
            && self.database.as_deref() == Some(&address.database)
    }

    /// Where its clients go, for messages.
    pub(crate) fn place(&self) -> String {
        let host = self.host.as_deref().unwrap_or("a local socket");
        let port = self.port.map_or("?".to_owned(), |port| port.to_string());
        let database = self.database.as_deref().unwrap_or("?");
        format!("{host}:{port}/{database}")
    }
}

/// Whether a server connection of `SHOW SERVERS` goes elsewhere and will go on serving.
/// Where the address is a name, only the port can be compared.
pub(crate) fn is_stale(row: &ConsoleRow, address: &Address) -> bool {
    let closes = field(row, "close_needed").is_some_and(|text| text != "0");
    let port = field(row, "port").and_then(|text| text.parse::<u16>().ok());
    let elsewhere = match (address.ip(), field(row, "addr")) {
        (Some(ip), Some(addr)) => addr != ip.to_string(),
        _ => false,
    };
    !closes && (elsewhere || port.is_some_and(|port| port != address.port))
}

/// Whether a pool of `SHOW POOLS` has clients that wait and no server connection for them.
pub(crate) fn waits_for_servers(row: &ConsoleRow) -> bool {
    let count = |name: &str| {
        let text = field(row, name);
        text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    let servers = ["sv_active", "sv_idle", "sv_used", "sv_tested"];
    count("cl_waiting") > 0 && servers.into_iter().all(|name| count(name) == 0)
}
