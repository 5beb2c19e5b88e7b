//! `pg_dump` locks all tables, and lets go of them where it waits and others wait for it.

mod database;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use database::{Databases, load_with, program_folders};
use tokio_util::sync::CancellationToken;
use trunkline_load::LoadOptions;
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
        "#!/bin/sh\nif [ \"$1\" != --version ]; then touch {here}/begun; \
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

#[tokio::test]
async fn while_one_table_cannot_be_had_clients_get_the_others() {
    skip_unless_available!(15);
    let databases = Databases::new(15, 15).await;
    databases
        .on_source(
            "CREATE TABLE a_free (id int PRIMARY KEY); INSERT INTO a_free VALUES (1); \
             CREATE TABLE taken (id int PRIMARY KEY); INSERT INTO taken VALUES (2)",
        )
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    waiting_programs(folder.path());
    let loader = databases.loader_with_programs(
        LoadOptions::default(),
        CancellationToken::new(),
        vec![folder.path().to_owned()],
    );
    let clients = async {
        until(PATIENCE, async || folder.path().join("begun").exists()).await;
        let holder = connect(&databases.source).await;
        let client = connect(&databases.source).await;
        holder
            .batch_execute("BEGIN; LOCK TABLE taken")
            .await
            .expect("a lock");
        std::fs::write(folder.path().join("leave"), "").expect("leave");
        let waits = "SELECT count(*) > 0 FROM pg_locks \
                     WHERE NOT granted AND relation = 'public.taken'::regclass";
        until(PATIENCE, async || {
            client.query_one(waits, &[]).await.expect("locks").get(0)
        })
        .await;
        let had = client
            .batch_execute("SET statement_timeout = '30s'; BEGIN; LOCK TABLE a_free; COMMIT")
            .await;
        had.expect("a table that nobody but pg_dump has");
        // A second time: it has come again, and waits again.
        until(PATIENCE, async || {
            client.query_one(waits, &[]).await.expect("locks").get(0)
        })
        .await;
        holder.batch_execute("COMMIT").await.expect("released");
    };
    let (loaded, ()) = tokio::join!(Box::pin(load_with(&loader, &databases)), clients);
    loaded.expect("a load");
    databases.assert_same_contents().await;
}
