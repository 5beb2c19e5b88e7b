//! PgBouncer with a file that the test writes.

use std::path::PathBuf;

use trunkline_sandbox::{Component, free_port};

use super::{prepare, start};
use crate::cluster::{ok, uri_at};

/// A PgBouncer; `admin` may command its console (where a password is asked for, it is
/// `secret`), `watcher` may only look.
#[derive(Debug)]
pub struct PgBouncer {
    component: Component,
    port: u16,
}

impl PgBouncer {
    /// Starts one with these lines in `[databases]` and, after our own, in `[pgbouncer]`.
    pub fn start(databases: &str, settings: &str) -> Self {
        let component = prepare("pgbouncer");
        let mut started = PgBouncer {
            component,
            port: free_port(),
        };
        let port = started.port;
        let users = "\"postgres\" \"\"\n\"admin\" \"secret\"\n\"watcher\" \"\"\n";
        let users = ok(
            "write a file",
            started.component.write_file("users.txt", users),
        );
        let users = users.display();
        let text = format!(
            ";; a test's\n[databases]\n{databases}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {users}\nadmin_users = admin\n\
             stats_users = watcher\npool_mode = transaction\n{settings}\n"
        );
        ok(
            "write a file",
            started.component.write_file("pgbouncer.ini", &text),
        );
        started.start_again();
        started
    }

    /// Starts it after [`Self::kill`].
    pub fn start_again(&mut self) {
        let config = self.config().display().to_string();
        start(&mut self.component, &[config], &[self.port]);
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        ok("kill PgBouncer", self.component.kill());
    }

    /// It answers nobody, and its connections stay open.
    pub fn freeze(&self) {
        self.component.freeze();
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&self) {
        self.component.thaw();
    }

    /// Its file.
    pub fn config(&self) -> PathBuf {
        self.component.folder().join("pgbouncer.ini")
    }

    /// The URI of a database behind it.
    pub fn uri(&self, database: &str) -> String {
        uri_at(self.port, database)
    }

    /// The URI of its console for a user.
    pub fn console(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/pgbouncer", self.port)
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.component.log()
    }
}
