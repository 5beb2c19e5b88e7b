//! `pg_dump` locks all tables, and lets go of them where it waits and others wait for it.

mod database;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use database::{Databases, load_with, program_folders};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use trunkline_load::{LoadError, LoadOptions, Loader};
use trunkline_testkit::{connect, skip_unless_available, until};

const PATIENCE: Duration = Duration::from_mins(1);

/// Makes a folder whose `pg_dump` says that it has begun and waits for leave, then does what
/// the real one does.
fn waiting_programs(folder: &Path) {
    let real = program_folders().into_iter().find(|programs| {
        let version = std::process::Command::new(programs.join("pg_dump"))
            .arg("--version")
            .output()
            .expect("pg_dump");
        String::from_utf8_lossy(&version.stdout).contains(") 15.")
    });
    let real = real.expect("version 15").display().to_string();
    let here = folder.display();
    let waits = format!(
        "#!/bin/sh\nif [ \"$1\" != --version ]; then echo $$ > {here}/begun; \
         while [ ! -e {here}/leave ]; do sleep 0.05; done; fi\nexec {real}/pg_dump \"$@\"\n"
    );
    let passes = format!("#!/bin/sh\nexec {real}/pg_restore \"$@\"\n");
    for (name, script) in [("pg_dump", waits), ("pg_restore", passes)] {
        let path = folder.join(name);
        std::fs::write(&path, script).expect("a program");
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, all).expect("permissions");
    }
}

const WAITS: &str = "SELECT count(*) > 0 FROM pg_locks \
                     WHERE NOT granted AND relation = 'public.taken'::regclass";

/// Two databases, and a loader whose `pg_dump` waits for leave.
struct Scene {
    databases: Databases,
    programs: tempfile::TempDir,
    loader: Loader,
    cancel: CancellationToken,
}

impl Scene {
    async fn new() -> Self {
        let databases = Databases::new(15, 15).await;
        databases
            .on_source(
                "CREATE TABLE a_free (id int PRIMARY KEY); INSERT INTO a_free VALUES (1); \
                 CREATE TABLE taken (id int PRIMARY KEY); INSERT INTO taken VALUES (2)",
            )
            .await;
        let programs = tempfile::tempdir().expect("a folder");
        waiting_programs(programs.path());
        let cancel = CancellationToken::new();
        let loader = databases.loader_with_programs(
            LoadOptions::default(),
            cancel.clone(),
            vec![programs.path().to_owned()],
        );
        Scene {
            databases,
            programs,
            loader,
            cancel,
        }
    }

    /// A client of the source who has a table for himself, and `pg_dump`, which waits for it
    /// and has the other one.
    async fn taken(&self) -> Client {
        let begun = self.programs.path().join("begun");
        until(PATIENCE, async || begun.exists()).await;
        let holder = connect(&self.databases.source).await;
        let lock = "BEGIN; LOCK TABLE taken";
        holder.batch_execute(lock).await.expect("a lock");
        std::fs::write(self.programs.path().join("leave"), "").expect("leave");
        self.waits().await;
        holder
    }

    async fn waits(&self) {
        let client = connect(&self.databases.source).await;
        until(PATIENCE, async || {
            client.query_one(WAITS, &[]).await.expect("locks").get(0)
        })
        .await;
    }

    /// Nobody dumps any more.
    async fn no_dump_is_left(&self) {
        let client = connect(&self.databases.source).await;
        let gone = "SELECT count(*) = 0 FROM pg_stat_activity \
                    WHERE application_name LIKE 'trunkline dump %'";
        until(PATIENCE, async || {
            client.query_one(gone, &[]).await.expect("sessions").get(0)
        })
        .await;
    }

    async fn takes_the_free_one(&self) {
        let client = connect(&self.databases.source).await;
        let take = "SET statement_timeout = '30s'; BEGIN; LOCK TABLE a_free; COMMIT";
        let had = client.batch_execute(take).await;
        had.expect("a table that nobody but pg_dump has");
    }
}

#[tokio::test]
async fn while_one_table_cannot_be_had_clients_get_the_others() {
    skip_unless_available!(15);
    let scene = Scene::new().await;
    let clients = async {
        let holder = scene.taken().await;
        scene.takes_the_free_one().await;
        // It comes again, and makes room again.
        scene.waits().await;
        scene.takes_the_free_one().await;
        scene.waits().await;
        holder.batch_execute("COMMIT").await.expect("released");
    };
    let (loaded, ()) = tokio::join!(
        Box::pin(load_with(&scene.loader, &scene.databases)),
        clients
    );
    loaded.expect("a load");
    scene.databases.assert_same_contents().await;
}

#[tokio::test]
async fn of_a_client_and_pg_dump_who_wait_for_each_other_the_client_goes_on() {
    skip_unless_available!(15);
    let scene = Scene::new().await;
    // pg_dump's server does not end the circle, and the client's only after three seconds.
    scene
        .databases
        .on_source("ALTER DATABASE before SET deadlock_timeout = '10min'")
        .await;
    let client = async {
        let holder = scene.taken().await;
        // After two times it has the patience of four seconds.
        for _ in 0..2 {
            scene.takes_the_free_one().await;
            scene.waits().await;
        }
        let both = "SET deadlock_timeout = '3s'; LOCK TABLE a_free; COMMIT";
        let both = holder.batch_execute(both).await;
        both.expect("it is not the victim");
    };
    let (loaded, ()) = tokio::join!(Box::pin(load_with(&scene.loader, &scene.databases)), client);
    loaded.expect("a load");
    scene.databases.assert_same_contents().await;
}

#[tokio::test]
async fn a_pg_dump_that_is_stopped_lets_go_of_its_tables() {
    skip_unless_available!(15);
    let scene = Scene::new().await;
    let clients = async {
        let holder = scene.taken().await;
        scene.cancel.cancel();
        holder
    };
    let (loaded, holder) = tokio::join!(
        Box::pin(load_with(&scene.loader, &scene.databases)),
        clients
    );
    let loaded = loaded.map(drop);
    assert!(matches!(loaded, Err(LoadError::Cancelled)), "{loaded:?}");
    scene.takes_the_free_one().await;
    holder.batch_execute("COMMIT").await.expect("released");
}

#[tokio::test]
async fn a_pg_dump_that_is_killed_lets_go_of_its_tables() {
    skip_unless_available!(15);
    let scene = Scene::new().await;
    let clients = async {
        let holder = scene.taken().await;
        let process = std::fs::read_to_string(scene.programs.path().join("begun"));
        let killed = std::process::Command::new("kill")
            .args(["-9", process.expect("its process").trim()])
            .status();
        assert!(killed.expect("kill").success());
        holder
    };
    let (loaded, holder) = tokio::join!(
        Box::pin(load_with(&scene.loader, &scene.databases)),
        clients
    );
    let loaded = loaded.map(drop);
    assert!(
        matches!(loaded, Err(LoadError::Program { .. })),
        "{loaded:?}"
    );
    scene.no_dump_is_left().await;
    scene.takes_the_free_one().await;
    holder.batch_execute("COMMIT").await.expect("released");
}

#[tokio::test]
async fn a_pg_dump_that_outlived_its_command_is_ended_by_the_next() {
    skip_unless_available!(15);
    let scene = Scene::new().await;
    let holder = connect(&scene.databases.source).await;
    let lock = "BEGIN; LOCK TABLE taken";
    holder.batch_execute(lock).await.expect("a lock");
    let orphan = connect(&scene.databases.source).await;
    let locks = "SET application_name = 'trunkline dump 0badcafe'; BEGIN; \
                 LOCK TABLE a_free IN ACCESS SHARE MODE";
    orphan.batch_execute(locks).await.expect("a lock");
    let waiting = tokio::spawn(async move {
        let wants = "LOCK TABLE taken IN ACCESS SHARE MODE";
        orphan.batch_execute(wants).await
    });
    scene.waits().await;
    let folder = scene.databases.directory.path();
    let unfinished = folder.join("structure.dump.unfinished-0badcafe");
    std::fs::write(&unfinished, "half").expect("a file");
    std::fs::write(scene.programs.path().join("leave"), "").expect("leave");
    let client = async {
        scene.takes_the_free_one().await;
        holder.batch_execute("COMMIT").await.expect("released");
    };
    let (loaded, ()) = tokio::join!(Box::pin(load_with(&scene.loader, &scene.databases)), client);
    loaded.expect("a load");
    scene.no_dump_is_left().await;
    assert!(waiting.await.expect("no panic").is_err(), "it was ended");
    assert!(!unfinished.exists());
    scene.databases.assert_same_contents().await;
}
