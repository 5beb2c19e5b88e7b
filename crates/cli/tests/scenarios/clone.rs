//! The offline copy: everything a database holds, in one go, with nothing made on the source.

use std::time::Duration;

use trunkline_testkit::{skip_unless_available, until};

use crate::scene::{Scene, assert_same_catalog};

/// Sequences in every state, and what hangs on no table.
const MORE: &str = "
    CREATE SEQUENCE public.untouched START 7 INCREMENT -3 MINVALUE -100 MAXVALUE 50;
    CREATE SEQUENCE public.called; SELECT nextval('public.called') FROM generate_series(1, 42);
    CREATE SEQUENCE public.set_back; SELECT setval('public.set_back', 9, false);
    CREATE TABLE public.serials (a serial, b bigint GENERATED ALWAYS AS IDENTITY);
    INSERT INTO public.serials SELECT FROM generate_series(1, 3);
    CREATE MATERIALIZED VIEW public.sizes AS SELECT count(*) AS rows FROM public.serials;
    CREATE UNLOGGED TABLE public.quick (id int); INSERT INTO public.quick VALUES (1), (2);
    SELECT lo_from_bytea(0, 'a large object');";

async fn clones(source: u32, target: u32) {
    let scene = Scene::new(source, target)
        .await
        .with_shop(1)
        .await
        .with(MORE);
    scene.matrix().create_in(&scene.on_source().await).await;
    let before = scene.catalogs().await.0;
    // A slot's statistics and its number of restarts are no witness; the server's log is.
    scene.source_says("ALTER SYSTEM SET log_replication_commands = on");
    scene.source_says("SELECT pg_reload_conf()");

    let report = scene.done(&["clone", "--json"]).await.json();
    assert_eq!(report["phase"], "completed", "{report:#}");

    scene.source_says("ALTER SYSTEM RESET log_replication_commands");
    scene.assert_same().await;
    assert_eq!(scene.target_says("SELECT rows FROM public.sizes"), "3");
    let objects = "SELECT string_agg(convert_from(lo_get(oid), 'UTF8'), ' ') \
                   FROM pg_largeobject_metadata";
    assert!(scene.target_says(objects).contains("a large object"));
    assert_same_catalog("source", &before, &scene.catalogs().await.0);
    scene.assert_nothing_of_ours().await;
    assert_no_slot_was_made(scene).await;
}

/// Neither now nor ever; and again it is refused, because the target is not empty by now.
async fn assert_no_slot_was_made(mut scene: Scene) {
    let ran = scene.trunkline(&["clone"]).await.expect_code(3);
    ran.expect_said(&["object-exists", "--drop-if-exists"]);
    scene.assert_same().await;
    let log = scene.source.server().log();
    for command in [
        "CREATE_REPLICATION_SLOT",
        "START_REPLICATION",
        "IDENTIFY_SYSTEM",
    ] {
        assert!(!log.contains(command), "{command} was sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_cloned_from_13_to_15() {
    skip_unless_available!(13, 15);
    clones(13, 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_cloned_from_12_to_18() {
    skip_unless_available!(12, 18);
    clones(12, 18).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_that_was_killed_goes_on_to_the_same_end() {
    skip_unless_available!(15);
    let scene = Scene::new(15, 15).await.with_shop(2).await.with(MORE);
    for step in ["structure", "copying rows"] {
        let mut running = scene.start(&["clone"]);
        running.must_say(step).await;
        running.kill().await;
    }
    scene.done(&["clone"]).await;
    scene.assert_same().await;
    scene.assert_nothing_of_ours().await;
}

/// Recovery empties unlogged tables: what had been copied into them is gone when the clone goes
/// on behind the copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlogged_tables_that_a_crash_empties_behind_the_copy_are_filled_again() {
    skip_unless_available!(15);
    let mut scene = Scene::new(15, 15).await.with(
        "CREATE UNLOGGED TABLE kept (id int PRIMARY KEY, body text); \
         INSERT INTO kept SELECT n, repeat('k', n) FROM generate_series(1, 500) n; \
         CREATE UNLOGGED TABLE moved (LIKE kept INCLUDING ALL); INSERT INTO moved TABLE kept; \
         CREATE UNLOGGED TABLE bare (id int); \
         CREATE MATERIALIZED VIEW waits AS SELECT pg_advisory_lock(42)::text",
    );
    scene.plan("[[transform.tables]]\ntable = \"public.moved\"\nto = \"public.rested\"\n");
    let holder = scene.on_target().await;
    holder
        .batch_execute("SELECT pg_advisory_lock(42)")
        .await
        .expect("the lock");
    let mut running = scene.start(&["clone"]);
    running.must_say("foreign keys, triggers, views").await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'";
    until(Duration::from_mins(1), async || {
        scene.target_says(waits) == "1"
    })
    .await;
    scene.target.kill();
    scene.target.start_again();
    assert_eq!(scene.target_says("SELECT count(*) FROM kept"), "0");
    if running.ended().await.code != Some(0) {
        scene.done(&["clone"]).await;
    }
    let rows = |table| format!("SELECT md5(string_agg(t::text, ' ' ORDER BY id)) FROM {table} t");
    let there = scene.source_says(&rows("kept"));
    assert_eq!(scene.target_says(&rows("kept")), there);
    assert_eq!(scene.target_says(&rows("rested")), there);
    assert_eq!(scene.target_says("SELECT count(*) FROM bare"), "0");
}
