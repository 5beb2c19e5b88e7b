//! What the server is told, and what it is never told.

use crate::setup::{PATIENCE, Source, drain_live, last_commit, live};
use std::time::Duration;
use trunkline_capture::{BatchReader, Lag, Pulled, ReadPosition, lag};
use trunkline_changes::Lsn;
use trunkline_postgres::Session;
use trunkline_testkit::{skip_unless_available, until};

/// Writes log that the slot's database does not see, and returns its end.
async fn write_elsewhere(source: &Source) -> Lsn {
    let elsewhere = source.cluster.client("postgres").await;
    let sql = "CREATE TABLE IF NOT EXISTS noise (t text); \
               INSERT INTO noise SELECT repeat('n', 1000) FROM generate_series(1, 2000)";
    elsewhere.batch_execute(sql).await.expect("noise");
    source
        .ask("SELECT pg_current_wal_lsn()::text")
        .await
        .parse()
        .expect("a position")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_confirmed_that_was_not_told_to_be_durable() {
    skip_unless_available!(15);
    let source = Source::start(15).await;
    let record = source.slot("slot").await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut reader = live(source.feed("slot"), record.consistent_point, folder.path()).await;
    source
        .run("INSERT INTO public.ledger (entry) VALUES ('one')")
        .await;
    source
        .run("INSERT INTO public.ledger (entry) VALUES ('two')")
        .await;
    let mut events = Vec::new();
    while events.len() < 6 {
        if let Pulled::Events(more) = reader.pull(PATIENCE).await.expect("events") {
            events.extend(more);
        }
    }
    // The server has heard of what was received, and the slot has not moved.
    let written = last_commit(&events).expect("a commit");
    let sql = format!(
        "SELECT (count(*) = 1)::text FROM pg_stat_replication WHERE write_lsn >= '{written}'"
    );
    until(PATIENCE, async || source.ask(&sql).await == "true").await;
    assert_eq!(source.confirmed("slot").await, record.consistent_point);
    let first = last_commit(&events[..3]).expect("the first commit");
    reader.confirm(first);
    until(PATIENCE, async || source.confirmed("slot").await == first).await;
    reader.confirm(record.consistent_point);
    let mark = source.mark().await;
    let more = drain_live(&mut reader, mark).await;
    reader.stop().await.expect("an orderly end");
    assert_eq!(
        source.confirmed("slot").await,
        last_commit(&more).expect("a commit")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_tells_how_far_the_server_has_read() {
    for major in [12, 15, 18] {
        skip_unless_available!(major);
        let source = Source::start(major).await;
        let record = source.slot("idle").await;
        let folder = tempfile::tempdir().expect("a folder");
        let mut reader = live(source.feed("idle"), record.consistent_point, folder.path()).await;
        let noise_end = write_elsewhere(&source).await;
        let mut read: Option<ReadPosition> = None;
        let give_up_at = tokio::time::Instant::now() + PATIENCE;
        while read.is_none_or(|position| position.lsn() < noise_end) {
            assert!(
                tokio::time::Instant::now() < give_up_at,
                "{read:?} before {noise_end}"
            );
            if let Pulled::Idle { received } =
                reader.pull(Duration::from_millis(200)).await.expect("idle")
            {
                read = received;
            }
        }
        let read = read.expect("a position");
        reader.confirm_read(read);
        until(PATIENCE, async || {
            source.confirmed("idle").await == read.lsn()
        })
        .await;
        reader.stop().await.expect("an orderly end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_changes_lets_the_slot_move_on() {
    skip_unless_available!(15);
    let source = Source::start(15).await;
    let record = source.slot("slot").await;
    let mut reader = BatchReader::open(source.feed("slot"))
        .await
        .expect("connected");
    let noise_end = write_elsewhere(&source).await;
    let mut covered = None;
    while covered.is_none_or(|position: ReadPosition| position.lsn() < noise_end) {
        reader
            .peek(record.consistent_point, None, 1_000)
            .await
            .expect("a peek");
        match reader.pull().await.expect("its end") {
            Pulled::EndOfBatch {
                covered: so_far, ..
            } => covered = so_far,
            other => panic!("{other:?}"),
        }
    }
    let covered = covered.expect("complete");
    reader.advance_read(covered).await.expect("advanced");
    assert_eq!(source.confirmed("slot").await, covered.lsn());
    // Back is nowhere to go, and no error.
    reader
        .advance(record.consistent_point)
        .await
        .expect("nothing to do");
    assert_eq!(source.confirmed("slot").await, covered.lsn());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_cut_at_its_bound_covers_nothing_beyond_its_commits() {
    skip_unless_available!(16);
    let source = Source::start(16).await;
    let record = source.slot("slot").await;
    for _ in 0..10 {
        source
            .run("INSERT INTO public.ledger (entry) VALUES ('x')")
            .await;
    }
    let mut reader = BatchReader::open(source.feed("slot"))
        .await
        .expect("connected");
    reader
        .peek(record.consistent_point, None, 5)
        .await
        .expect("a peek");
    let mut events = Vec::new();
    let covered = loop {
        match reader.pull().await.expect("a pull") {
            Pulled::Events(more) => events.extend(more),
            Pulled::EndOfBatch { covered, .. } => break covered,
            Pulled::Idle { .. } => unreachable!("a batch is never idle"),
        }
    };
    assert_eq!(covered, None);
    assert!(events.len() < 30, "{}", events.len());
    // Given up in the middle, the next peek starts anew.
    reader
        .peek(record.consistent_point, None, 1_000)
        .await
        .expect("a peek");
    reader
        .peek(record.consistent_point, None, 1_000)
        .await
        .expect("another");
    let mut all = Vec::new();
    while let Pulled::Events(more) = reader.pull().await.expect("a pull") {
        all.extend(more);
    }
    assert_eq!(all.len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_measured_or_unknown() {
    skip_unless_available!(15);
    let mut source = Source::start(15).await;
    let mut session = Session::connect(&source.conninfo(), "lag")
        .await
        .expect("connected");
    let start: Lsn = source
        .ask("SELECT pg_current_wal_lsn()::text")
        .await
        .parse()
        .expect("a position");
    source.run("INSERT INTO public.ledger (entry) SELECT repeat('x', 900) FROM generate_series(1, 1000)").await;
    let Lag::Bytes(bytes) = lag(&mut session, start).await else {
        panic!("a lag");
    };
    assert!((900_000..20_000_000).contains(&bytes), "{bytes}");
    source.cluster.kill();
    assert_eq!(lag(&mut session, start).await, Lag::Unknown);
}
