//! Transactions that are streamed while they run.

use crate::setup::{PATIENCE, Source, assert_same, drain_batches, reaches};
use std::time::Duration;
use trunkline_capture::{LiveOptions, LiveReader, Pulled};
use trunkline_testkit::{Cluster, skip_unless_available};

const LIMIT_BYTES: usize = 2 << 20;

/// Runs a transaction of 300,000 rows with parts rolled back, and small ones in between.
async fn write(source: &Source) {
    let big = source.cluster.client("shop").await;
    let other = source.cluster.client("shop").await;
    let insert = |entry: &str, rows: u32| {
        format!(
            "INSERT INTO public.ledger (entry) SELECT '{entry} ' || i FROM generate_series(1, {rows}) AS i"
        )
    };
    let acts = [
        "BEGIN".to_owned(),
        insert("first", 100_000),
        "SAVEPOINT a".to_owned(),
        insert("gone", 40_000),
        "ALTER TABLE public.wide ADD COLUMN gone int".to_owned(),
        "INSERT INTO public.wide VALUES (1, 1, 'gone', 1)".to_owned(),
        "SAVEPOINT b".to_owned(),
        insert("gone with it", 20_000),
        "RELEASE b".to_owned(),
        "ROLLBACK TO a".to_owned(),
        "INSERT INTO public.wide VALUES (2, 2, 'kept')".to_owned(),
        insert("second", 100_000),
        "SELECT pg_logical_emit_message(true, 'trunkline', 'in the middle')".to_owned(),
        "SAVEPOINT c".to_owned(),
        "UPDATE public.ledger SET entry = entry || '!' WHERE id % 10 = 0".to_owned(),
        "RELEASE c".to_owned(),
        "SAVEPOINT d".to_owned(),
        "DELETE FROM public.ledger WHERE id % 2 = 0".to_owned(),
        "ROLLBACK TO d".to_owned(),
        insert("third", 40_000),
        "COMMIT".to_owned(),
    ];
    for (number, act) in acts.iter().enumerate() {
        big.batch_execute(act).await.expect("an act");
        let small = format!("INSERT INTO public.keyless VALUES ({number}, 'between')");
        other.batch_execute(&small).await.expect("a small one");
    }
    // One that is rolled back whole, after it was streamed.
    let gone = format!("BEGIN; {}; ROLLBACK", insert("never", 20_000));
    big.batch_execute(&gone).await.expect("rolled back");
}

async fn a_big_transaction_is_delivered_whole(major: u32) {
    let builder = Cluster::builder(major).setting("logical_decoding_work_mem", "64kB");
    let source = Source::with(builder).await;
    let (batch, stream) = (
        source.slot("by_batch").await,
        source.slot("by_stream").await,
    );
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = LiveOptions::after(stream.consistent_point, folder.path());
    options.memory_bytes = LIMIT_BYTES;
    let mut reader = LiveReader::start(source.feed("by_stream"), options)
        .await
        .expect("a stream");
    let writing = async {
        write(&source).await;
        source.mark().await
    };
    let (mut events, mut mark) = (Vec::new(), None);
    let (mut peak_memory_bytes, mut peak_file_bytes) = (0, 0);
    tokio::pin!(writing);
    let give_up_at = tokio::time::Instant::now() + PATIENCE;
    while !mark.is_some_and(|mark| reaches(&events, mark)) {
        assert!(
            tokio::time::Instant::now() < give_up_at,
            "the mark never came"
        );
        tokio::select! {
            made = &mut writing, if mark.is_none() => mark = Some(made),
            pulled = reader.pull(Duration::from_secs(1)) => {
                if let Pulled::Events(more) = pulled.expect("the stream goes on") {
                    events.extend(more);
                }
            }
        }
        peak_memory_bytes = peak_memory_bytes.max(reader.assembler().memory_bytes());
        peak_file_bytes = peak_file_bytes.max(reader.assembler().file_bytes());
    }
    assert!(peak_memory_bytes <= LIMIT_BYTES, "{peak_memory_bytes}");
    assert!(
        peak_file_bytes > 4 * LIMIT_BYTES as u64,
        "it was streamed: {peak_file_bytes}"
    );
    assert_eq!(reader.assembler().memory_bytes(), 0);
    reader.stop().await.expect("an orderly end");
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);
    let mark = mark.expect("made");
    let batched = drain_batches(
        source.feed("by_batch"),
        batch.consistent_point,
        10_000,
        mark,
    )
    .await;
    assert_same(events, batched);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_transaction_with_rolled_back_parts_is_delivered_whole_on_14() {
    skip_unless_available!(14);
    a_big_transaction_is_delivered_whole(14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_transaction_with_rolled_back_parts_is_delivered_whole_on_15() {
    skip_unless_available!(15);
    a_big_transaction_is_delivered_whole(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_transaction_with_rolled_back_parts_is_delivered_whole_on_18() {
    skip_unless_available!(18);
    a_big_transaction_is_delivered_whole(18).await;
}
