//! A backlog of several batches, drained by runs that are killed on the way.

use trunkline_testkit::{any_major, skip_unless_available};

use crate::scene::notes::notes;

/// Takes every slot that is free.
const TAKE_SLOTS: &str = "DO $$ BEGIN
    FOR n IN 1..1000 LOOP PERFORM pg_create_physical_replication_slot('taken_' || n); END LOOP;
    EXCEPTION WHEN configuration_limit_exceeded THEN NULL; END $$";
const FREE_SLOTS: &str = "SELECT count(pg_drop_replication_slot(slot_name))
    FROM pg_replication_slots WHERE slot_name LIKE 'taken%'";

/// 240,000 changes are two batches, and some 50 MB of log: far enough behind to be read so.
async fn drains(prepare: &str) {
    let scene = notes().await;
    scene.done(&["run", "--until", "verified"]).await;
    for part in 1..=8 {
        scene.source_says(&format!(
            "INSERT INTO public.notes SELECT {part} * 100000 + n, repeat(md5(n::text), 3) \
             FROM generate_series(1, 30000) AS n"
        ));
    }
    scene.source_says(prepare);
    for _ in 0..2 {
        let mut run = scene.start(&["run"]);
        run.must_say("following (batch)").await;
        run.kill().await;
    }
    scene.done(&["run", "--until", "following"]).await;
    scene.source_says(FREE_SLOTS);
    scene.assert_same().await;
    scene.done(&["abort"]).await;
    scene.assert_nothing_of_ours().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_is_drained_by_runs_that_are_killed_on_the_way() {
    skip_unless_available!(any_major());
    drains("SELECT 1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_is_drained_where_no_slot_is_free() {
    skip_unless_available!(any_major());
    drains(TAKE_SLOTS).await;
}
