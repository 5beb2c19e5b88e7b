//! Envoy's files of endpoints and listeners, as JSON. Names of fields may be written in
//! either of protobuf's two ways, and stay as they are written.

use serde_json::{Map, Value, json};

use crate::address::{Address, named};
use crate::failure::Failure;
use trunkline_changes::Side;

/// Parses a file; a YAML file whose text is JSON is one.
pub(super) fn parse(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::found(format!(
            "{error}; Trunkline rewrites JSON only (Envoy reads it from a .yaml file as well)"
        ))
    })
}

/// A field by its name in `snake_case`, or in the `camelCase` of protobuf's JSON.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).or_else(|| value.get(camel(name)))
}

fn field_mut<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let written = if value.get(name).is_some() {
        name.to_owned()
    } else {
        camel(name)
    };
    value.get_mut(written)
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut whole = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        whole.push_str(&first.to_ascii_uppercase());
        whole.push_str(rest);
    }
    whole
}

fn items<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    field_mut(value, name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// The only endpoint of a cluster: which of several would be the side's is not known.
fn socket_address<'a>(file: &'a mut Value, cluster: &str) -> Result<&'a mut Value, Failure> {
    let mut found: Vec<&mut Value> = items(file, "resources")
        .filter(|resource| field(resource, "cluster_name").and_then(Value::as_str) == Some(cluster))
        .flat_map(|resource| items(resource, "endpoints"))
        .flat_map(|locality| items(locality, "lb_endpoints"))
        .collect();
    let count = found.len();
    let only = found.pop().filter(|_| count == 1).ok_or_else(|| {
        Failure::found(format!(
            "cluster {cluster:?} has {count} endpoints, and one is needed"
        ))
    })?;
    field_mut(only, "endpoint")
        .and_then(|endpoint| field_mut(endpoint, "address"))
        .and_then(|address| field_mut(address, "socket_address"))
        .ok_or_else(|| Failure::found(format!("cluster {cluster:?} has no socket_address")))
}

/// Sets the cluster's only endpoint.
pub(super) fn point(file: &mut Value, cluster: &str, to: &Address) -> Result<(), Failure> {
    let socket = socket_address(file, cluster)?;
    let written = if socket.get("portValue").is_some() {
        "portValue"
    } else {
        "port_value"
    };
    socket["address"] = json!(to.host);
    socket[written] = json!(to.port);
    Ok(())
}

/// `host:port` of the cluster's only endpoint.
pub(super) fn pointed_at(file: &mut Value, cluster: &str) -> Result<String, Failure> {
    let socket = socket_address(file, cluster)?;
    let port = field(socket, "port_value").cloned().unwrap_or_default();
    Ok(format!(
        "{}:{port}",
        socket["address"].as_str().unwrap_or("?")
    ))
}

/// Marks every filter chain that leads to the cluster with the side that serves. A chain
/// that has changed is a new one to Envoy, and the sessions of the old are drained.
pub(super) fn mark(file: &mut Value, cluster: &str, serves: Side) -> Result<(), Failure> {
    let mut marked = 0;
    for listener in items(file, "resources") {
        let chains = items(listener, "filter_chains").filter(|chain| mentions(chain, cluster));
        for chain in chains {
            mark_chain(chain, serves)?;
            marked += 1;
        }
        let default = field_mut(listener, "default_filter_chain");
        if let Some(chain) = default.filter(|chain| mentions(chain, cluster)) {
            mark_chain(chain, serves)?;
            marked += 1;
        }
    }
    if marked == 0 {
        return Err(Failure::found(format!(
            "no filter chain leads to cluster {cluster:?}"
        )));
    }
    Ok(())
}

fn mark_chain(chain: &mut Value, serves: Side) -> Result<(), Failure> {
    let odd = || Failure::found("a filter chain whose metadata is not a map");
    let metadata = map_in(chain.as_object_mut().ok_or_else(odd)?, "metadata").ok_or_else(odd)?;
    let name = if metadata.contains_key("filterMetadata") {
        "filterMetadata"
    } else {
        "filter_metadata"
    };
    let by_filter = map_in(metadata, name).ok_or_else(odd)?;
    by_filter.insert("trunkline".to_owned(), json!({ "serves": named(serves) }));
    Ok(())
}

/// The map of that name, made if it is missing.
fn map_in<'a>(map: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    map.entry(name).or_insert_with(|| json!({})).as_object_mut()
}

/// Whether a value has this text anywhere in it: the cluster of `tcp_proxy`, weighted or not.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        Value::Object(fields) => fields.values().any(|item| mentions(item, text)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address {
            host: "10.0.0.9".to_owned(),
            port: 6000,
            database: "x".to_owned(),
        }
    }

    #[test]
    fn one_clusters_endpoint_is_set_in_either_way_of_writing() {
        for (cluster_name, lb_endpoints, socket_address, port_value) in [
            (
                "cluster_name",
                "lb_endpoints",
                "socket_address",
                "port_value",
            ),
            ("clusterName", "lbEndpoints", "socketAddress", "portValue"),
        ] {
            let endpoint = |host: &str, port: u16| {
                json!({ "endpoint": { "address": {
                    socket_address: { "address": host, port_value: port } } } })
            };
            let file = |host: &str, port: u16| {
                json!({ "version_info": "7", "resources": [
                    { cluster_name: "other",
                      "endpoints": [{ lb_endpoints: [endpoint("10.0.0.1", 1)] }] },
                    { cluster_name: "pg", "policy": { "overprovisioning_factor": 140 },
                      "endpoints": [{ lb_endpoints: [endpoint(host, port)] }] } ] })
            };
            let mut changed = file("10.0.0.1", 1);
            point(&mut changed, "pg", &address()).expect("it has one endpoint");
            assert_eq!(changed, file("10.0.0.9", 6000));
            assert_eq!(
                pointed_at(&mut changed, "pg").expect("same"),
                "10.0.0.9:6000"
            );
        }
    }

    #[test]
    fn a_cluster_without_exactly_one_endpoint_is_refused() {
        let one = json!({ "endpoint": { "address": { "socket_address": {} } } });
        for endpoints in [json!([]), json!([one, one])] {
            let mut file = json!({ "resources": [
                { "cluster_name": "pg", "endpoints": [{ "lb_endpoints": endpoints }] }] });
            assert!(point(&mut file, "pg", &address()).is_err());
        }
    }

    #[test]
    fn only_chains_that_lead_to_the_cluster_are_marked() {
        let chain =
            |cluster: &str| json!({ "filters": [{ "typed_config": { "cluster": cluster } }] });
        let mut file = json!({ "resources": [
            { "name": "l", "filter_chains": [chain("pg"), chain("other")] }] });
        mark(&mut file, "pg", Side::Target).expect("one leads there");
        let chains = &file["resources"][0]["filter_chains"];
        let marked = &chains[0]["metadata"]["filter_metadata"]["trunkline"];
        assert_eq!(marked, &json!({ "serves": "target" }));
        assert_eq!(chains[1], chain("other"));
        assert!(mark(&mut file, "none", Side::Target).is_err());
    }
}
