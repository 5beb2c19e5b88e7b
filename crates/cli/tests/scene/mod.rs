//! Two servers, a migration's folder and the `trunkline` program between them. Holds always:
//! the program knows nothing of the caller's environment, and ends with its test.

pub(crate) mod copied;
pub(crate) mod crowd;
mod mutations;
pub(crate) mod notes;
pub(crate) mod ordeal;
pub(crate) mod pooled;
mod program;
pub(crate) mod relayed;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use trunkline_testkit::contents::{assert_same_contents, catalog, sequences};
use trunkline_testkit::types::{INSERT_ONLY, TypeMatrix};
use trunkline_testkit::world::{self, Outcome, Writers};
use trunkline_testkit::{Cluster, connect};

pub(crate) use mutations::{Mutations, Pace};
pub(crate) use program::{PATIENCE, Program, Ran, Running};

/// The database that moves, by the same name on both sides.
pub(crate) const DATABASE: &str = "app";

/// A source, a target, and a migration between them.
pub(crate) struct Scene {
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
    pub(crate) database: String,
    program: Program,
    plan: String,
    folder: TempDir,
}

/// Writers with a brake.
pub(crate) struct Clients {
    writers: Arc<Writers>,
    brake: JoinHandle<()>,
}

impl Clients {
    /// Transactions confirmed so far.
    pub(crate) fn committed(&self) -> u64 {
        self.writers.committed()
    }

    /// Ends them, and tells what they did.
    pub(crate) async fn stop(self) -> Outcome {
        self.brake.abort();
        // Aborted: it lets the writers go.
        assert!(self.brake.await.is_err());
        let writers = Arc::into_inner(self.writers).expect("nobody else has the writers");
        writers.stop().await
    }
}

impl Scene {
    /// Two servers with an empty database each.
    pub(crate) async fn new(source: u32, target: u32) -> Self {
        Self::of(Cluster::start(source), Cluster::start(target), DATABASE).await
    }

    /// The same, of servers that run already.
    pub(crate) async fn of(source: Cluster, target: Cluster, database: &str) -> Self {
        for cluster in [&source, &target] {
            cluster.create_database(database).await;
        }
        Self::over(source, target, database)
    }

    /// The same, of servers that have the database already.
    pub(crate) fn over(source: Cluster, target: Cluster, database: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the migration");
        let program = Program::new(folder.path())
            .variable("TRUNKLINE_SOURCE", &source.uri(database))
            .variable("TRUNKLINE_TARGET", &target.uri(database));
        Scene {
            source,
            target,
            database: database.to_owned(),
            program,
            plan: String::new(),
            folder,
        }
    }

    /// A shop on the source, with some 2,600 rows times `scale`.
    pub(crate) async fn with_shop(self, scale: u32) -> Self {
        world::create(&self.on_source().await, scale).await;
        self
    }

    /// Every type, on the source; those tables that cannot be updated are listed as such.
    pub(crate) async fn with_matrix(mut self) -> Self {
        self.matrix().create_in(&self.on_source().await).await;
        let tables: Vec<String> = INSERT_ONLY.iter().map(|name| format!("{name:?}")).collect();
        self.plan(&format!(
            "[tables]\ninsert_only = [{}]\n",
            tables.join(", ")
        ));
        self
    }

    /// What both servers can hold.
    pub(crate) fn matrix(&self) -> TypeMatrix {
        TypeMatrix::for_major(self.source.major().min(self.target.major()))
    }

    /// Runs statements on the source.
    pub(crate) fn with(self, sql: &str) -> Self {
        self.source.psql(&self.database, sql);
        self
    }

    /// Adds to the plan file.
    pub(crate) fn plan(&mut self, text: &str) {
        self.plan.push_str(text);
        let path = self.path("trunkline.toml");
        std::fs::write(&path, &self.plan).expect("the plan is written");
        let path = path.display().to_string();
        self.program = self.program.clone().variable("TRUNKLINE_PLAN", &path);
    }

    /// Lets the program reach a side in another way than by its own address.
    pub(crate) fn reach(&mut self, variable: &str, conninfo: &str) {
        self.program = self.program.clone().variable(variable, conninfo);
    }

    /// A path in the folder of this scene, outside of the migration's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The migration's folder.
    pub(crate) fn migration_folder(&self) -> PathBuf {
        self.program.migration_folder()
    }

    /// The program with this scene's settings.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Runs the program to its end.
    pub(crate) async fn trunkline(&self, arguments: &[&str]) -> Ran {
        self.program.run(arguments).await
    }

    /// Runs the program, which must succeed.
    pub(crate) async fn done(&self, arguments: &[&str]) -> Ran {
        self.program.run(arguments).await.expect_code(0)
    }

    /// Starts the program and does not wait.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.program.start(arguments)
    }

    /// A client of the source.
    pub(crate) async fn on_source(&self) -> Client {
        connect(&self.source.uri(&self.database)).await
    }

    /// A client of the target.
    pub(crate) async fn on_target(&self) -> Client {
        connect(&self.target.uri(&self.database)).await
    }

    /// Two writers on the source that come again when they are thrown out; they rest now and
    /// then, and pause while the target is far behind.
    pub(crate) fn clients(&self, seed: u64) -> Clients {
        self.paced_clients(seed, Pace::Usual)
    }

    /// The same at another pace.
    pub(crate) fn paced_clients(&self, seed: u64, pace: Pace) -> Clients {
        let writers = Writers::to(&self.source.uri(&self.database))
            .tasks(2)
            .pause(pace.pause())
            .seed(seed)
            .reconnecting()
            .start();
        let writers = Arc::new(writers);
        // Another database: the fence closes the one that moves.
        let brake = mutations::brake(Arc::clone(&writers), self.source.uri("postgres"));
        Clients {
            writers,
            brake: tokio::spawn(brake),
        }
    }

    /// Both catalogs, the source's first.
    pub(crate) async fn catalogs(&self) -> (String, String) {
        let source = catalog(&self.on_source().await).await;
        let target = catalog(&self.on_target().await).await;
        (source, target)
    }

    /// Asserts that both sides hold the same rows, and stand at the same sequence values.
    pub(crate) async fn assert_same(&self) {
        self.assert_same_rows().await;
        self.assert_same_sequences().await;
    }

    /// Asserts that both sides hold the same rows.
    pub(crate) async fn assert_same_rows(&self) {
        assert_same_contents(&self.on_source().await, &self.on_target().await).await;
    }

    /// Asserts that every sequence stands at the same value on both sides.
    pub(crate) async fn assert_same_sequences(&self) {
        let source = sequences(&self.on_source().await).await;
        let target = sequences(&self.on_target().await).await;
        assert_eq!(source, target, "the sequences stand elsewhere");
    }

    /// Asserts that nothing on the target has a name of ours.
    pub(crate) async fn assert_nothing_of_ours(&self) {
        let (source, target) = self.catalogs().await;
        for (side, text) in [("source", source), ("target", target)] {
            let ours: Vec<&str> = text
                .lines()
                .filter(|line| line.contains("trunkline"))
                .collect();
            assert!(ours.is_empty(), "left behind on the {side}: {ours:#?}");
        }
    }
}

/// Asserts that a catalog is as it was, and names the lines that are not.
#[track_caller]
pub(crate) fn assert_same_catalog(side: &str, before: &str, after: &str) {
    let only = |here: &str, there: &str| -> Vec<String> {
        let there: std::collections::BTreeSet<&str> = there.lines().collect();
        let missing = here.lines().filter(|line| !there.contains(line));
        missing.map(str::to_owned).collect()
    };
    assert!(
        before == after,
        "the catalog of the {side} is not as it was; gone: {:#?}, come: {:#?}",
        only(before, after),
        only(after, before)
    );
}

/// The seed of a test: `TRUNKLINE_SEED`, or another one each time; printed.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("TRUNKLINE_SEED").ok();
    let seed = given
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed} (TRUNKLINE_SEED)");
    seed
}
