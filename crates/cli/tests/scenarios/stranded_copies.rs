//! The route `subscription`, where the target's own copy of a table cannot go on: the slot with
//! what changed meanwhile is gone, and the server would ask for it for ever.

use tokio_postgres::Client;
use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::notes::{NOTES, notes};
use crate::scene::{PATIENCE, Running, Scene};

/// The table whose copy is stranded.
const LARGE: &str = "CREATE TABLE public.large (id int PRIMARY KEY, body text);
    INSERT INTO public.large SELECT n, md5(n::text) FROM generate_series(1, 20000) n";

/// One that refers to it, so that it cannot be truncated.
const PARTS: &str =
    "CREATE TABLE public.parts (id int PRIMARY KEY, large int REFERENCES public.large);
    INSERT INTO public.parts SELECT n, n FROM generate_series(1, 500) n";

const STANDING: &str = "CREATE TABLE public.notes (id bigint PRIMARY KEY, body text);
    CREATE TABLE public.large (id int PRIMARY KEY, body text);
    CREATE TABLE public.parts (id int PRIMARY KEY, large int REFERENCES public.large)";

/// The same table, cut on the target.
const CUT: &str = "CREATE TABLE public.notes (id bigint PRIMARY KEY, body text);
    CREATE TABLE public.large (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);
    CREATE TABLE public.low PARTITION OF public.large FOR VALUES FROM (0) TO (10000);
    CREATE TABLE public.high PARTITION OF public.large FOR VALUES FROM (10000) TO (100000)";

async fn begin(client: &Client, sql: &str) {
    let begun = client.batch_execute(&format!("BEGIN; {sql}")).await;
    begun.expect("nobody is in the way");
}

async fn commit(client: &Client) {
    client
        .batch_execute("COMMIT")
        .await
        .expect("it can be committed");
}

async fn holds(client: &Client, sql: &str) -> bool {
    // A slot that is taken between the look and the drop is an error.
    let asked = client.query_one(sql, &[]).await;
    asked.is_ok_and(|row| row.get(0))
}

/// A run whose copy of `large` is done while what changed since is not applied, and whose slot
/// for that is gone.
async fn stranded(scene: &Scene, standing: &str) -> Running {
    scene.target_says(standing);
    let (large, notes) = (scene.on_target().await, scene.on_target().await);
    let (target, source) = (scene.on_target().await, scene.on_source().await);
    begin(&large, "LOCK TABLE public.large IN SHARE MODE").await;
    let running = scene.start(&["run", "--until", "verified"]);
    let others = "SELECT count(*) FILTER (WHERE srsubstate <> 'r') = 1 AND count(*) > 1
                    FROM pg_subscription_rel";
    until(PATIENCE, async || holds(&target, others).await).await;

    // The process that applies, and would start others, waits.
    begin(&notes, "LOCK TABLE public.notes IN SHARE MODE").await;
    scene.source_says("UPDATE public.notes SET body = 'held up' WHERE id = 1");
    let waits = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_subscription w USING (pid)
                  WHERE NOT l.granted AND w.relid IS NULL";
    until(PATIENCE, async || holds(&target, waits).await).await;
    commit(&large).await;
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
    commit(&notes).await;
    running
}

async fn scene(source: u32, target: u32) -> Scene {
    let mut scene = Scene::new(source, target).await.with(NOTES).with(LARGE);
    scene.plan("[migration]\nroute = \"subscription\"\n[structure]\nrestore = false\n");
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_copy_lost_its_slot_is_copied_again() {
    skip_unless_available!(15, 16);
    let scene = scene(15, 16).await.with(PARTS);
    let mut running = stranded(&scene, STANDING).await;
    // It stands still where the table is to be emptied, out of the publication, and is killed.
    let (holder, writer) = (scene.on_target().await, scene.on_source().await);
    begin(&holder, "LOCK TABLE public.large IN SHARE MODE").await;
    running.must_say("large; copied again").await;
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'public.large'::regclass
                    AND NOT granted";
    let target = scene.on_target().await;
    until(PATIENCE, async || holds(&target, waits).await).await;
    running.kill().await;
    // Written while it is not published, committed behind that.
    begin(&writer, "INSERT INTO public.large VALUES (50001, 'across')").await;
    scene.source_says("UPDATE public.large SET body = 'while nobody looked' WHERE id < 50");
    commit(&holder).await;
    let mut running = scene.start(&["run", "--until", "verified"]);
    running.must_say("waits for process").await;
    commit(&writer).await;
    running.ended().await.expect_code(0);
    scene.assert_same_rows().await;
    scene.source_says("UPDATE public.large SET body = 'later' WHERE id < 20");
    scene.done(&["verify"]).await;
    scene.done(&["abort", "--keep-target"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranded_table_that_is_cut_on_the_target_is_emptied_with_its_parts() {
    skip_unless_available!(17, 18);
    let scene = scene(17, 18).await;
    let running = stranded(&scene, CUT).await;
    running.ended().await.expect_code(0);
    scene.done(&["verify"]).await;
    scene.source_says("DELETE FROM public.large WHERE id < 100");
    scene.done(&["verify"]).await;
    let sum = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM public.large t";
    assert_eq!(scene.source_says(sum), scene.target_says(sum));
    scene.done(&["abort", "--keep-target"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranded_table_of_an_administrators_publication_is_told_of() {
    skip_unless_available!(15, 16);
    let mut scene = scene(15, 16).await.with(PARTS);
    scene.source_says("CREATE PUBLICATION theirs FOR ALL TABLES");
    scene.plan("[source]\npublication = \"theirs\"\n");
    let ran = stranded(&scene, STANDING)
        .await
        .ended()
        .await
        .expect_code(9);
    assert!(ran.stderr.contains("public.large"), "{ran}");
    assert!(ran.stderr.contains("REFRESH PUBLICATION"), "{ran}");
    scene.done(&["abort", "--keep-target"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_whose_slot_is_gone_is_not_waited_for() {
    skip_unless_available!(any_major());
    let mut scene = notes().await;
    scene.plan("[migration]\nroute = \"subscription\"\n");
    let mut running = scene.start(&["run"]);
    running.must_say("== verified").await;
    let source = scene.on_source().await;
    let kill = "SELECT count(pg_terminate_backend(active_pid)) >= 0 FROM pg_replication_slots
                 WHERE active_pid IS NOT NULL";
    let drop = "SELECT count(pg_drop_replication_slot(slot_name)) = 1 FROM pg_replication_slots
                 WHERE NOT active";
    until(PATIENCE, async || {
        holds(&source, kill).await;
        holds(&source, drop).await
    })
    .await;
    let ran = running.ended().await.expect_code(9);
    assert!(ran.stderr.contains("is gone from the source"), "{ran}");
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
}
