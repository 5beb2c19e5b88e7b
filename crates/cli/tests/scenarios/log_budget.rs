//! A source that keeps more of its log for the migration than the plan allows, while something of
//! the migration waits for somebody.

use trunkline_testkit::{any_major, skip_unless_available, until};

use super::held_up::held_up;
use crate::scene::notes::notes;
use crate::scene::{PATIENCE, Running, Scene};

async fn planned() -> Scene {
    let mut scene = notes().await;
    scene.plan("[budget]\nwal_kept_warn = \"16 MB\"\nwal_kept_stop = \"48 MB\"\n");
    scene
}

/// As its error proposes.
fn raise_the_budget(scene: &Scene) {
    let raised = "[budget]\nwal_kept_stop = \"1 TB\"\n";
    std::fs::write(scene.path("trunkline.toml"), raised).expect("the plan is written");
}

/// Whatever was dumped already is dumped again.
fn forget_dumps(scene: &Scene) {
    let folders = std::fs::read_dir(scene.migration_folder()).expect("the migration's folder");
    for folder in folders {
        let dump = folder.expect("a file").path().join("structure.dump");
        if dump.exists() {
            std::fs::remove_file(dump).expect("removed");
        }
    }
}

/// The source writes 64 MB of log that are of no table.
fn writes_log(scene: &Scene) {
    let message = "SELECT pg_logical_emit_message(false, 'noise', repeat('x', 1 << 20)) \
                   FROM generate_series(1, 64)";
    scene.source_says(&format!("SELECT count(*) FROM ({message}) AS written"));
}

async fn ends_for_its_log(running: Running) {
    let ran = running.ended().await.expect_code(9);
    let why = "the source keeps ";
    assert!(ran.stderr.contains(why), "{ran}");
    assert!(ran.stderr.contains("wal_kept_stop"), "{ran}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_change_waits_on_the_target_keeps_to_the_budget() {
    skip_unless_available!(any_major());
    let scene = planned().await;
    let (running, holder) = held_up(&scene).await;
    writes_log(&scene);
    ends_for_its_log(running).await;
    holder.batch_execute("COMMIT").await.expect("it is let go");
    raise_the_budget(&scene);
    scene.done(&["verify"]).await;
    scene.assert_same_rows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_pg_dump_waits_for_a_table_keeps_to_the_budget() {
    skip_unless_available!(any_major());
    let scene = planned().await;
    // No look at the catalog wants a table without storage, and pg_dump does.
    scene.source_says("CREATE TABLE public.parted (id int) PARTITION BY RANGE (id)");
    // The slot is made before anybody has the table: it would wait for him, too.
    let mut running = scene.start(&["run", "--until", "verified"]);
    running.must_say("== structure").await;
    running.kill().await;
    forget_dumps(&scene);
    let holder = scene.on_source().await;
    let lock = "BEGIN; LOCK TABLE ONLY public.parted";
    holder.batch_execute(lock).await.expect("nobody has it");
    let mut running = scene.start(&["run", "--until", "verified"]);
    running.must_say("waits on the source for ").await;
    writes_log(&scene);
    ends_for_its_log(running).await;
    let client = scene.on_source().await;
    let gone = "SELECT count(*) = 0 FROM pg_stat_activity \
                WHERE application_name LIKE 'trunkline dump %'";
    until(PATIENCE, async || {
        client
            .query_one(gone, &[])
            .await
            .expect("it answers")
            .get(0)
    })
    .await;
    holder.batch_execute("COMMIT").await.expect("it is let go");
    raise_the_budget(&scene);
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
}
