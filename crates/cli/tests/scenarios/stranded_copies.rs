//! The route `subscription`, where the target's own copy of a table cannot go on: the slot with
//! what changed meanwhile is gone, and the server would ask for it for ever.

use tokio_postgres::Client;
use trunkline_testkit::{skip_unless_available, until};

use crate::scene::notes::NOTES;
use crate::scene::{PATIENCE, Running, Scene};

/// The table whose copy is stranded, and one that refers to it.
const LARGE: &str = "CREATE TABLE public.large (id int PRIMARY KEY, body text);
    INSERT INTO public.large SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
    CREATE TABLE public.parts (id int PRIMARY KEY, large int REFERENCES public.large);
    INSERT INTO public.parts SELECT n, n FROM generate_series(1, 500) n";

const STANDING: &str = "CREATE TABLE public.notes (id bigint PRIMARY KEY, body text);
    CREATE TABLE public.large (id int PRIMARY KEY, body text);
    CREATE TABLE public.parts (id int PRIMARY KEY, large int REFERENCES public.large)";

async fn holds(client: &Client, sql: &str) -> bool {
    client
        .query_one(sql, &[])
        .await
        .expect("it can be asked")
        .get(0)
}

/// A run whose copy of `large` is done while what changed since is not applied, and whose slot
/// for that is gone.
async fn stranded(scene: &Scene) -> Running {
    scene.target_says(STANDING);
    let (large, notes) = (scene.on_target().await, scene.on_target().await);
    let (target, source) = (scene.on_target().await, scene.on_source().await);
    let held = "BEGIN; LOCK TABLE public.large IN SHARE MODE";
    large.batch_execute(held).await.expect("nobody has it");
    let running = scene.start(&["run", "--until", "verified"]);
    let others = "SELECT count(*) = 2 FROM pg_subscription_rel WHERE srsubstate = 'r'";
    until(PATIENCE, async || holds(&target, others).await).await;

    // The process that applies, and would start others, waits.
    let held = "BEGIN; LOCK TABLE public.notes IN SHARE MODE";
    notes.batch_execute(held).await.expect("nobody has it");
    scene.source_says("UPDATE public.notes SET body = 'held up' WHERE id = 1");
    let waits = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_subscription w USING (pid)
                  WHERE NOT l.granted AND w.relid IS NULL";
    until(PATIENCE, async || holds(&target, waits).await).await;
    large.batch_execute("COMMIT").await.expect("it is let go");
    let copied = "SELECT count(*) = 1 FROM pg_subscription_rel WHERE srsubstate = 'f'";
    until(PATIENCE, async || holds(&target, copied).await).await;
    scene.source_says(
        "UPDATE public.large SET body = 'since' WHERE id % 100 = 0;
         DELETE FROM public.large WHERE id > 19000;
         INSERT INTO public.large SELECT n, 'new' FROM generate_series(30001, 30500) n",
    );
    let kill = "SELECT count(pg_terminate_backend(pid)) = 1 FROM pg_stat_subscription
                 WHERE relid IS NOT NULL AND pid IS NOT NULL";
    until(PATIENCE, async || holds(&target, kill).await).await;
    let drop = "SELECT count(pg_drop_replication_slot(slot_name)) = 1 FROM pg_replication_slots
                 WHERE slot_name LIKE 'pg\\_%\\_sync\\_%' AND NOT active";
    until(PATIENCE, async || holds(&source, drop).await).await;
    notes.batch_execute("COMMIT").await.expect("it is let go");
    running
}

async fn scene() -> Scene {
    let mut scene = Scene::new(15, 16).await.with(NOTES).with(LARGE);
    scene.plan("[migration]\nroute = \"subscription\"\n[structure]\nrestore = false\n");
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_copy_lost_its_slot_is_copied_again() {
    skip_unless_available!(15, 16);
    let scene = scene().await;
    let mut running = stranded(&scene).await;
    running.must_say("large; copied again").await;
    // Killed between two steps of it, the next run goes on with it.
    running.must_say("tables are copied again").await;
    running.kill().await;
    scene.source_says("UPDATE public.large SET body = 'while nobody looked' WHERE id < 50");
    scene.done(&["run", "--until", "verified"]).await;
    scene.assert_same_rows().await;
    scene.source_says("UPDATE public.large SET body = 'later' WHERE id < 20");
    scene.done(&["verify"]).await;
    scene.done(&["abort", "--keep-target"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranded_table_of_an_administrators_publication_is_told_of() {
    skip_unless_available!(15, 16);
    let mut scene = scene().await;
    scene.source_says("CREATE PUBLICATION theirs FOR ALL TABLES");
    scene.plan("[source]\npublication = \"theirs\"\n");
    let ran = stranded(&scene).await.ended().await.expect_code(9);
    assert!(ran.stderr.contains("public.large"), "{ran}");
    assert!(ran.stderr.contains("REFRESH PUBLICATION"), "{ran}");
    scene.done(&["abort", "--keep-target"]).await;
    scene.assert_nothing_of_ours().await;
}
