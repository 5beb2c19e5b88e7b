//! Two databases and a loader between them.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use trunkline_load::{Inventory, LoadError, LoadOptions, Loader, Progress};
use trunkline_postgres::{Conninfo, Session};
use trunkline_testkit::{Cluster, connect, sandbox};

/// A source and a target database, and a working directory.
pub(crate) struct Databases {
    _clusters: Vec<Cluster>,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) directory: tempfile::TempDir,
}

impl Databases {
    /// New databases on servers of these versions; one server when they are the same.
    pub(crate) async fn new(source_major: u32, target_major: u32) -> Self {
        let source_cluster = Cluster::start(source_major);
        let source = source_cluster.create_database("before").await;
        let mut clusters = vec![source_cluster];
        if target_major != source_major {
            clusters.push(Cluster::start(target_major));
        }
        let target_cluster = clusters.last().expect("at least one");
        let target = target_cluster.create_database("after").await;
        Databases::of(clusters, source, target).await
    }

    /// New databases on servers that the caller keeps.
    pub(crate) async fn between(source: &Cluster, target: &Cluster) -> Self {
        let source = source.create_database("before").await;
        let target = target.create_database("after").await;
        Databases::of(Vec::new(), source, target).await
    }

    async fn of(clusters: Vec<Cluster>, source: String, target: String) -> Self {
        let databases = Databases {
            _clusters: clusters,
            source,
            target,
            directory: tempfile::tempdir().expect("a directory"),
        };
        databases.on_target("CREATE SCHEMA trunkline").await;
        databases
    }

    pub(crate) async fn on_source(&self, sql: &str) {
        run(&self.source, sql).await;
    }

    pub(crate) async fn on_target(&self, sql: &str) {
        run(&self.target, sql).await;
    }

    pub(crate) fn loader(&self, options: LoadOptions) -> Loader {
        self.cancellable_loader(options, CancellationToken::new())
    }

    pub(crate) fn cancellable_loader(
        &self,
        options: LoadOptions,
        cancel: CancellationToken,
    ) -> Loader {
        self.loader_with_programs(options, cancel, program_folders())
    }

    pub(crate) fn loader_with_programs(
        &self,
        mut options: LoadOptions,
        cancel: CancellationToken,
        program_folders: Vec<PathBuf>,
    ) -> Loader {
        options.program_folders = program_folders;
        Loader::new(
            conninfo(&self.source),
            conninfo(&self.target),
            options,
            Arc::new(Progress::default()),
            cancel,
        )
    }

    /// The steps before the tables.
    pub(crate) async fn begun(&self, loader: &Loader) -> Inventory {
        loader.prepare_ledger().await.expect("a ledger");
        let inventory = Box::pin(loader.inventory(self.directory.path())).await;
        inventory.expect("an inventory")
    }

    /// Loads from the beginning to the end.
    pub(crate) async fn load(&self, options: LoadOptions) -> Result<Inventory, LoadError> {
        let loader = self.loader(options);
        Box::pin(load_with(&loader, self)).await
    }

    pub(crate) async fn assert_same_contents(&self) {
        let (source, target) = (connect(&self.source).await, connect(&self.target).await);
        trunkline_testkit::contents::assert_same_contents(&source, &target).await;
    }

    /// One text from the target, lines joined.
    pub(crate) async fn ask_target(&self, sql: &str) -> String {
        ask(&self.target, sql).await
    }

    pub(crate) async fn target_session(&self) -> Session {
        Session::connect(&conninfo(&self.target), "test")
            .await
            .expect("a session")
    }
}

/// Every step of a loader, in order.
pub(crate) async fn load_with(
    loader: &Loader,
    databases: &Databases,
) -> Result<Inventory, LoadError> {
    loader.prepare_ledger().await?;
    let inventory = Box::pin(loader.inventory(databases.directory.path())).await?;
    Box::pin(loader.restore_pre_data(&inventory)).await?;
    Box::pin(loader.copy_and_build(&inventory)).await?;
    Box::pin(loader.finish_structure(&inventory)).await?;
    Ok(inventory)
}

pub(crate) fn conninfo(text: &str) -> Conninfo {
    Conninfo::resolve(text).expect("settings")
}

pub(crate) async fn ask(conninfo: &str, sql: &str) -> String {
    let rows = connect(conninfo).await.query(sql, &[]).await.expect(sql);
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

async fn run(conninfo: &str, sql: &str) {
    if let Err(error) = connect(conninfo).await.batch_execute(sql).await {
        panic!("{sql}: {error:?}");
    }
}

pub(crate) fn program_folders() -> Vec<PathBuf> {
    sandbox::client_programs()
        .into_iter()
        .map(|found| found.bin)
        .collect()
}
