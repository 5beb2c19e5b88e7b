//! HAProxy with one frontend, one backend `pg` and one server `db`.

use std::path::PathBuf;

use trunkline_sandbox::{Component, free_port};

use super::{prepare, start};
use crate::cluster::{ok, uri_at};

/// An HAProxy in front of one server.
#[derive(Debug)]
pub struct Haproxy {
    component: Component,
    port: u16,
}

impl Haproxy {
    /// Starts one that leads to a port of 127.0.0.1; its socket has a level (`admin`).
    pub fn start(server_port: u16, level: &str) -> Self {
        let mut component = prepare("haproxy");
        let port = free_port();
        let socket = component.folder().join("runtime.sock");
        let text = format!(
            "global\n  stats socket {} mode 666 level {level}\n  maxconn 200\n\
             defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
             frontend clients\n  bind 127.0.0.1:{port}\n  default_backend pg\n\
             backend pg\n  server db 127.0.0.1:{server_port}\n",
            socket.display()
        );
        let config = ok("write a file", component.write_file("haproxy.cfg", &text));
        let arguments = [
            "-db".to_owned(),
            "-f".to_owned(),
            config.display().to_string(),
        ];
        start(&mut component, &arguments, &[port]);
        Haproxy { component, port }
    }

    /// Its runtime socket.
    pub fn socket(&self) -> PathBuf {
        self.component.folder().join("runtime.sock")
    }

    /// The URI of a database behind it.
    pub fn uri(&self, database: &str) -> String {
        uri_at(self.port, database)
    }
}
