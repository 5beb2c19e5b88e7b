//! One transaction that is larger than the memory that the program may take.

use std::time::Duration;

use trunkline_testkit::{any_major, skip_unless_available, until};

use crate::scene::Scene;

/// Rows of the transaction: `TRUNKLINE_BIG_ROWS`, or so many that they do not fit into
/// [`MEMORY_KB`] as text and as changes together.
const ROWS: u64 = 300_000;
/// What the process may ever have resident, in kilobytes.
const MEMORY_KB: u64 = 300 * 1024;

fn rows() -> u64 {
    let given = std::env::var("TRUNKLINE_BIG_ROWS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(ROWS)
}

/// The most that a process had resident until now, in kilobytes.
fn peak_kilobytes(process: u32) -> u64 {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(path).expect("the process lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let digits = line.and_then(|line| line.split_whitespace().nth(1));
    digits
        .and_then(|text| text.parse().ok())
        .expect("a number of kB")
}

async fn passes(source: u32, target: u32) {
    let scene = Scene::new(source, target).await.with(
        "CREATE TABLE big (id bigint PRIMARY KEY, body text NOT NULL, n int); \
         INSERT INTO big VALUES (0, 'before', 0)",
    );
    let mut running = scene.start(&["run"]);
    running.must_say("== verified").await;
    let client = scene.on_source().await;
    let (rows, third) = (rows(), rows() / 3);
    let transaction = format!(
        "BEGIN; \
         INSERT INTO big SELECT i, repeat(md5(i::text), 8), 1 FROM generate_series(1, {rows}) AS i; \
         UPDATE big SET n = 2 WHERE id <= {third}; \
         DELETE FROM big WHERE id > {rows} - {third}; \
         COMMIT"
    );
    client
        .batch_execute(&transaction)
        .await
        .expect("it commits");

    // All of it comes at once: the first row stays, the last was deleted again.
    let target = scene.on_target().await;
    let ends = format!("SELECT count(*) FROM big WHERE id IN (1, {rows})");
    let patience = Duration::from_secs(60 + rows / 1_000);
    until(patience, async || {
        let counted = target.query_one(&ends, &[]).await;
        let counted: i64 = counted.map_or(0, |row| row.get(0));
        assert!(counted < 2, "a part of the transaction is seen");
        counted == 1
    })
    .await;
    let peak = peak_kilobytes(running.id());
    eprintln!("{rows} rows in one transaction: {peak} kB resident at most");
    assert!(peak < MEMORY_KB, "{peak} kB");
    scene.done(&["cutover"]).await;
    scene.assert_same().await;
    // Until then `run` keeps the way back open.
    scene.done(&["complete"]).await;
    running.ended().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_transaction_passes_in_bounded_memory() {
    let major = any_major();
    skip_unless_available!(major);
    passes(major, major).await;
}

/// Before version 14 a transaction is sent only when it has committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_transaction_of_an_old_source_passes_in_bounded_memory() {
    skip_unless_available!(13, 16);
    passes(13, 16).await;
}
