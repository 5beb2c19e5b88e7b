//! Envoy with one TCP listener and one cluster `pg`, both from files that it watches.

use std::path::PathBuf;

use trunkline_sandbox::{Component, free_port};

use super::{prepare, start};
use crate::cluster::{ok, uri_at};

/// An Envoy in front of one server. Sessions of a listener that has changed are drained
/// within a second.
#[derive(Debug)]
pub struct Envoy {
    component: Component,
    port: u16,
    admin: u16,
}

impl Envoy {
    /// Starts one that leads to a port of 127.0.0.1.
    pub fn start(server_port: u16) -> Self {
        let mut component = prepare("envoy");
        let (port, admin) = (free_port(), free_port());
        let socket = |port: u16| {
            format!(r#"{{"socket_address": {{"address": "127.0.0.1", "port_value": {port}}}}}"#)
        };
        let types = "type.googleapis.com/envoy";
        let endpoints = format!(
            r#"{{"resources": [{{"@type": "{types}.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": "pg", "endpoints": [{{"lb_endpoints": [
                {{"endpoint": {{"address": {}}}}}]}}]}}]}}"#,
            socket(server_port)
        );
        let listeners = format!(
            r#"{{"resources": [{{"@type": "{types}.config.listener.v3.Listener", "name": "pg",
                "address": {}, "filter_chains": [{{"name": "pg", "filters": [{{
                "name": "envoy.filters.network.tcp_proxy", "typed_config": {{
                "@type": "{types}.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "pg", "cluster": "pg"}}}}]}}]}}]}}"#,
            socket(port)
        );
        let write = |name: &str, text: &str| {
            let path = ok("write a file", component.write_file(name, text));
            format!(
                r#"{{"path_config_source": {{"path": "{}"}}, "resource_api_version": "V3"}}"#,
                path.display()
            )
        };
        let (endpoints, listeners) = (write("eds.json", &endpoints), write("lds.json", &listeners));
        let bootstrap = format!(
            r#"{{"node": {{"id": "test", "cluster": "test"}}, "admin": {{"address": {}}},
                "dynamic_resources": {{"lds_config": {listeners}}},
                "static_resources": {{"clusters": [{{"name": "pg", "type": "EDS",
                "connect_timeout": "5s", "eds_cluster_config": {{"eds_config": {endpoints}}}}}]}}}}"#,
            socket(admin)
        );
        let path = ok(
            "write a file",
            component.write_file("envoy.json", &bootstrap),
        );
        let arguments = [
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--drain-time-s",
            "1",
        ];
        let mut arguments = arguments.map(str::to_owned).to_vec();
        arguments.extend(["-l", "warning", "-c"].map(str::to_owned));
        arguments.push(path.display().to_string());
        start(&mut component, &arguments, &[admin, port]);
        Envoy {
            component,
            port,
            admin,
        }
    }

    /// The file of its cluster's endpoint.
    pub fn endpoints(&self) -> PathBuf {
        self.component.folder().join("eds.json")
    }

    /// The file of its listener.
    pub fn listeners(&self) -> PathBuf {
        self.component.folder().join("lds.json")
    }

    /// `host:port` of its admin interface.
    pub fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    /// The URI of a database behind it.
    pub fn uri(&self, database: &str) -> String {
        uri_at(self.port, database)
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.component.log()
    }
}
