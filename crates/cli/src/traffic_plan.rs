//! `traffic` of the plan's `[cutover]`: one table or several, and the adapters they mean.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use trunkline_migration::Error;
use trunkline_migration::traffic::{NobodyTold, Traffic};
use trunkline_postgres::Conninfo;
use trunkline_traffic::{
    Address, AddressError, Addresses, Chain, CommandHooks, CommandPlan, Envoy, EnvoyPlan, Haproxy,
    HaproxyPlan, PgBouncer, PgBouncerPlan, RuntimeSocket, Scene,
};

use crate::resolve::{conninfo, duration, file_error, one_of, plan_error};

/// One entry of `traffic`; which keys it may have depends on its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrafficTable {
    pub(crate) kind: String,
    pub(crate) hold: Option<String>,
    pub(crate) switch: Option<String>,
    pub(crate) release: Option<String>,
    pub(crate) verify: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) admin: Option<String>,
    pub(crate) password_env: Option<String>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) database: Option<Names>,
    pub(crate) cluster: Option<String>,
    pub(crate) endpoints: Option<PathBuf>,
    pub(crate) listeners: Option<PathBuf>,
    pub(crate) socket: Option<String>,
    pub(crate) server: Option<Names>,
    pub(crate) source: Option<String>,
    pub(crate) target: Option<String>,
}

/// One name or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Names {
    One(String),
    Several(Vec<String>),
}

/// One table or an array of them, in the order in which they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrafficTables {
    One(Box<TrafficTable>),
    Several(Vec<TrafficTable>),
}

impl Serialize for TrafficTables {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            TrafficTables::One(table) => table.serialize(serializer),
            TrafficTables::Several(tables) => tables.serialize(serializer),
        }
    }
}

/// By hand: an untagged enum would not say which key of which table is not known.
impl<'de> Deserialize<'de> for TrafficTables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = TrafficTables;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table `{ kind = … }`, or an array of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let table = TrafficTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(TrafficTables::One(Box::new(table)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                let tables = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                Ok(TrafficTables::Several(tables))
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

impl TrafficTables {
    fn tables_mut(&mut self) -> &mut [TrafficTable] {
        match self {
            TrafficTables::One(table) => std::slice::from_mut(table),
            TrafficTables::Several(tables) => tables,
        }
    }
}

/// What every entry is built from.
pub(crate) struct Surroundings<'a> {
    pub(crate) source: &'a Conninfo,
    pub(crate) target: &'a Conninfo,
    pub(crate) migration: &'a str,
    pub(crate) max_pause: Duration,
}

/// The adapters of a plan. The tables lose their passwords, and their paths become absolute,
/// so that they can be saved and mean the same elsewhere.
pub(crate) fn traffic(
    tables: Option<&mut TrafficTables>,
    around: &Surroundings<'_>,
) -> Result<Arc<dyn Traffic>, Error> {
    let Some(tables) = tables else {
        return Ok(Arc::new(NobodyTold));
    };
    let links = tables.tables_mut().iter_mut();
    let mut links: Vec<Arc<dyn Traffic>> = links
        .map(|table| adapter(table, around))
        .collect::<Result<_, _>>()?;
    match (links.pop(), links.is_empty()) {
        (None, _) => Ok(Arc::new(NobodyTold)),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            links.push(last);
            Ok(Arc::new(Chain::new(links)))
        }
    }
}

fn adapter(table: &mut TrafficTable, around: &Surroundings<'_>) -> Result<Arc<dyn Traffic>, Error> {
    let kinds = ["none", "command", "pgbouncer", "envoy", "haproxy"];
    one_of("kind", Some(&table.kind), &kinds)?;
    only_keys_of_its_kind(table)?;
    absolute(&mut table.config)?;
    absolute(&mut table.endpoints)?;
    absolute(&mut table.listeners)?;
    Ok(match table.kind.as_str() {
        "command" => Arc::new(commands(table, around)?),
        "pgbouncer" => Arc::new(pgbouncer(table, around)?),
        "envoy" => Arc::new(envoy(table, around)?),
        "haproxy" => Arc::new(haproxy(table, around)?),
        _ => Arc::new(NobodyTold),
    })
}

/// The keys that a kind knows.
fn keys_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "command" => &["hold", "switch", "release", "verify", "timeout"],
        "pgbouncer" => &[
            "admin",
            "password_env",
            "config",
            "database",
            "source",
            "target",
        ],
        "envoy" => &[
            "admin",
            "cluster",
            "endpoints",
            "listeners",
            "source",
            "target",
        ],
        "haproxy" => &["socket", "server", "source", "target"],
        _ => &[],
    }
}

fn only_keys_of_its_kind(table: &TrafficTable) -> Result<(), Error> {
    let text = toml::Table::try_from(table).map_err(|error| Error::internal(&error))?;
    let known = keys_of(&table.kind);
    let is_foreign = |key: &&String| *key != "kind" && !known.contains(&key.as_str());
    let Some(foreign) = text.keys().find(is_foreign) else {
        return Ok(());
    };
    let kind = &table.kind;
    let hint = if known.is_empty() {
        format!("kind \"{kind}\" takes no other key")
    } else {
        format!("kind \"{kind}\" takes: {}", known.join(", "))
    };
    Err(plan_error(
        format!("`{foreign}` is not a key of traffic of kind \"{kind}\""),
        hint,
    ))
}

fn absolute(path: &mut Option<PathBuf>) -> Result<(), Error> {
    if let Some(path) = path {
        *path = std::path::absolute(&*path).map_err(|cause| file_error(path, cause))?;
    }
    Ok(())
}

fn needed<T: Clone>(table: &TrafficTable, key: &str, value: Option<&T>) -> Result<T, Error> {
    value.cloned().ok_or_else(|| {
        let kind = &table.kind;
        plan_error(
            format!("traffic of kind \"{kind}\" needs `{key}`"),
            format!("kind \"{kind}\" takes: {}", keys_of(kind).join(", ")),
        )
    })
}

fn names(table: &TrafficTable, key: &str, value: Option<&Names>) -> Result<Vec<String>, Error> {
    let names = match needed(table, key, value)? {
        Names::One(name) => vec![name],
        Names::Several(names) => names,
    };
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err(plan_error(
            format!("`{key}` names nothing"),
            "give a name, or a list of names",
        ));
    }
    Ok(names)
}

fn addresses(table: &TrafficTable, around: &Surroundings<'_>) -> Result<Addresses, Error> {
    let side = |text: Option<&String>, conninfo: &Conninfo| match text {
        Some(text) => Address::parse(text, conninfo.database()).map_err(|error| address(&error)),
        None => Ok(Address::of(conninfo)),
    };
    Ok(Addresses {
        source: side(table.source.as_ref(), around.source)?,
        target: side(table.target.as_ref(), around.target)?,
    })
}

fn address(error: &AddressError) -> Error {
    let hint = match error {
        AddressError::Malformed(_) => "write it like \"10.0.0.1:5432/orders\"".to_owned(),
        AddressError::Name { side, .. } => {
            format!("say in this entry where it is: `{side} = \"10.0.0.1:5432\"`")
        }
    };
    plan_error(format!("traffic: {error}"), hint)
}

fn commands(table: &TrafficTable, around: &Surroundings<'_>) -> Result<CommandHooks, Error> {
    let plan = CommandPlan {
        hold: table.hold.clone(),
        switch: table.switch.clone(),
        release: table.release.clone(),
        verify: table.verify.clone(),
        timeout: duration("timeout", table.timeout.as_deref(), around.max_pause)?,
    };
    let scene = Scene {
        migration: around.migration.to_owned(),
        source: around.source.label(),
        target: around.target.label(),
    };
    Ok(CommandHooks::new(plan, scene))
}

fn pgbouncer(table: &mut TrafficTable, around: &Surroundings<'_>) -> Result<PgBouncer, Error> {
    let text = needed(table, "admin", table.admin.as_ref())?;
    let admin = conninfo("traffic's admin", &text, table.password_env.as_deref())?;
    table.admin = Some(admin.without_password());
    Ok(PgBouncer::new(PgBouncerPlan {
        admin,
        config: needed(table, "config", table.config.as_ref())?,
        databases: names(table, "database", table.database.as_ref())?,
        addresses: addresses(table, around)?,
    }))
}

fn envoy(table: &TrafficTable, around: &Surroundings<'_>) -> Result<Envoy, Error> {
    let admin = needed(table, "admin", table.admin.as_ref())?;
    let place = admin.strip_prefix("http://").unwrap_or(&admin);
    let place = place.trim_end_matches('/');
    if !matches!(RuntimeSocket::parse(place), Some(RuntimeSocket::Tcp(_))) {
        return Err(plan_error(
            format!("`admin = \"{admin}\"` is not the address of Envoy's admin interface"),
            "write it like \"127.0.0.1:9901\"; nothing but http is spoken",
        ));
    }
    let plan = EnvoyPlan {
        admin: place.to_owned(),
        cluster: needed(table, "cluster", table.cluster.as_ref())?,
        endpoints: needed(table, "endpoints", table.endpoints.as_ref())?,
        listeners: table.listeners.clone(),
        addresses: addresses(table, around)?,
    };
    Envoy::new(plan).map_err(|error| address(&error))
}

fn haproxy(table: &TrafficTable, around: &Surroundings<'_>) -> Result<Haproxy, Error> {
    let socket = needed(table, "socket", table.socket.as_ref())?;
    let servers = names(table, "server", table.server.as_ref())?;
    // A name goes into a command as it is.
    let is_name = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
    };
    let is_server = |text: &&String| {
        text.split_once('/')
            .is_some_and(|(backend, name)| is_name(backend) && is_name(name))
    };
    if let Some(odd) = servers.iter().find(|text| !is_server(text)) {
        return Err(plan_error(
            format!("`server = \"{odd}\"` is not a server of HAProxy"),
            "write it like \"backend/server\"",
        ));
    }
    let plan = HaproxyPlan {
        socket: RuntimeSocket::parse(&socket).ok_or_else(|| {
            plan_error(
                format!("`socket = \"{socket}\"` is not HAProxy's runtime socket"),
                "give the path of the socket, or host:port",
            )
        })?,
        servers,
        addresses: addresses(table, around)?,
    };
    Haproxy::new(plan).map_err(|error| address(&error))
}

#[cfg(test)]
mod tests;
