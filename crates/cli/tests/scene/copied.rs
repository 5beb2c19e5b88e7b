//! A source, and a server that Trunkline, or somebody else, makes as a physical copy of it: there
//! is none when the migration begins, and what is made goes with the test.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::Client;
use trunkline_testkit::contents::assert_same_contents;
use trunkline_testkit::sandbox::{Ground, client_programs, installed};
use trunkline_testkit::world::{self, Writers};
use trunkline_testkit::{Cluster, connect, uri_at};

use super::{DATABASE, Program, Ran};

/// A source, and a migration whose target does not exist yet.
pub(crate) struct Copied {
    pub(crate) source: Cluster,
    /// Where the copy's folder is to be; the server in it dies with the test.
    pub(crate) ground: Ground,
    pub(crate) port: u16,
    pub(crate) program: Program,
    pub(crate) folder: TempDir,
}

impl Copied {
    /// Two servers' worth of settings, and a shop on the source.
    pub(crate) async fn new(source: Cluster, port: u16) -> Self {
        source.create_database(DATABASE).await;
        let folder = tempfile::tempdir().expect("a folder for the migration");
        let plan = folder.path().join("trunkline.toml").display().to_string();
        let program = Program::new(folder.path())
            .variable("TRUNKLINE_SOURCE", &source.uri(DATABASE))
            .variable("TRUNKLINE_TARGET", &uri_at(port, DATABASE))
            .variable("TRUNKLINE_PLAN", &plan);
        world::create(&connect(&source.uri(DATABASE)).await, 2).await;
        Copied {
            source,
            ground: Ground::new().expect("a ground"),
            port,
            program,
            folder,
        }
    }

    /// What a table of the plan says of a copy that Trunkline makes.
    pub(crate) fn made_by_us(&self) -> String {
        let all = installed().into_iter().chain(client_programs());
        let programs: Vec<String> = all
            .map(|found| format!("\"{}\"", found.bin.display()))
            .collect();
        format!(
            "provider = \"basebackup\"\ndata_directory = \"{}\"\nprograms = [{}]\n",
            self.data().display(),
            programs.join(", ")
        )
    }

    /// Writes the plan file.
    pub(crate) fn plan(&self, text: &str) {
        std::fs::write(self.folder.path().join("trunkline.toml"), text).expect("a plan");
    }

    /// Where the copy is made.
    pub(crate) fn data(&self) -> PathBuf {
        self.ground.path().join("new server")
    }

    /// A client of the source.
    pub(crate) async fn on_source(&self) -> Client {
        connect(&self.source.uri(DATABASE)).await
    }

    /// A client of the copy.
    pub(crate) async fn on_target(&self) -> Client {
        connect(&uri_at(self.port, DATABASE)).await
    }

    /// Writers on the source.
    pub(crate) fn writers(&self) -> Writers {
        Writers::to(&self.source.uri(DATABASE))
            .tasks(4)
            .pause(Duration::from_millis(20))
            .reconnecting()
            .start()
    }

    /// Runs the program, which must succeed.
    pub(crate) async fn done(&self, arguments: &[&str]) -> Ran {
        self.program.run(arguments).await.expect_code(0)
    }

    /// Kills a run at each of these steps, as far as it comes to them.
    pub(crate) async fn killed_at(&self, steps: &[&str], until: &str) {
        for step in steps {
            let mut running = self.program.start(&["run", "--until", until]);
            if running.says(step).await {
                running.kill().await;
            } else {
                running.ended().await.expect_code(0);
            }
        }
    }

    /// Asserts that nothing is left where the copy was made.
    pub(crate) fn assert_ground_is_empty(&self) {
        let left = std::fs::read_dir(self.ground.path()).expect("a folder");
        let left: Vec<_> = left.collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// The migration's phase.
    pub(crate) async fn phase(&self) -> String {
        let report = self.done(&["status", "--json"]).await.json();
        report["phase"].as_str().expect("a phase").to_owned()
    }

    /// Asserts that both sides hold the same.
    pub(crate) async fn assert_same(&self) {
        assert_same_contents(&self.on_source().await, &self.on_target().await).await;
    }
}

/// Asserts that a catalog names nothing of ours.
pub(crate) fn assert_nothing_of_ours(side: &str, catalog: &str) {
    let ours: Vec<&str> = catalog
        .lines()
        // The throwaway servers' folders have that name, too.
        .filter(|line| line.contains("trunkline") && !line.contains("unix_socket_directories"))
        .collect();
    assert!(ours.is_empty(), "left behind on the {side}: {ours:#?}");
}
