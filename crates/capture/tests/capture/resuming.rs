//! Connections that are lost, and slots that are still held.

use crate::setup::{
    PATIENCE, Source, assert_same, drain_ahead, drain_batches, drain_live, feed_at, is_mark,
    last_commit, live, one_batch, peeked, reaches,
};
use std::time::Duration;
use trunkline_capture::{BatchReader, CaptureError, Feed, LiveOptions, LiveReader, Pulled};
use trunkline_changes::{Lsn, StreamEvent};
use trunkline_testkit::world::Writers;
use trunkline_testkit::{Cluster, FaultyProxy, skip_unless_available, until};

/// What a target would hold: whole transactions only.
struct Applied {
    events: Vec<StreamEvent>,
    open: Vec<StreamEvent>,
    durable: Lsn,
}

impl Applied {
    fn take(&mut self, events: Vec<StreamEvent>) {
        for event in events {
            let end = match &event {
                StreamEvent::Commit { end_lsn, .. } => Some(*end_lsn),
                _ => None,
            };
            self.open.push(event);
            if let Some(end) = end {
                self.events.append(&mut self.open);
                self.durable = end;
            }
        }
    }
}

/// Pulls until the mark or a failure; what was not committed is forgotten, as a target would.
async fn pull_until_failure(
    feed: Feed,
    applied: &mut Applied,
    mark: i32,
) -> Result<(), CaptureError> {
    applied.open.clear();
    let options = LiveOptions::after(applied.durable, std::env::temp_dir());
    let mut reader = LiveReader::start(feed, options).await?;
    while !reaches(&applied.events, mark) {
        if let Pulled::Events(events) = reader.pull(Duration::from_secs(1)).await? {
            applied.take(events);
            reader.confirm(applied.durable);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_goes_on_without_gap_or_repeat() {
    skip_unless_available!(17);
    let seed = fastrand::u64(..);
    eprintln!("cuts: seed {seed}");
    let mut cuts = fastrand::Rng::with_seed(seed);
    let builder = Cluster::builder(17).setting("logical_decoding_work_mem", "64kB");
    let source = Source::with(builder).await;
    let (cut, whole) = (source.slot("cut").await, source.slot("whole").await);
    let proxy = FaultyProxy::start(source.cluster.port()).await;
    let writers = Writers::to(&source.cluster.uri("shop")).tasks(3).start();
    until(Duration::from_mins(1), async || writers.committed() > 200).await;
    writers.stop().await;
    source
        .run("INSERT INTO public.ledger (entry) SELECT 'bulk' FROM generate_series(1, 20000)")
        .await;
    let mark = source.mark().await;
    let mut applied = Applied {
        events: Vec::new(),
        open: Vec::new(),
        durable: cut.consistent_point,
    };
    let mut failures = 0;
    loop {
        if failures < 12 {
            proxy.cut_after(cuts.u64(5_000..400_000));
        }
        match pull_until_failure(feed_at(proxy.port(), "cut"), &mut applied, mark).await {
            Ok(()) => break,
            Err(error) => {
                assert!(error.may_reopen(), "{error}");
                failures += 1;
            }
        }
    }
    assert!(failures > 3, "{failures}");
    let expected = drain_batches(source.feed("whole"), whole.consistent_point, 10_000, mark).await;
    assert_same(applied.events, expected);
}

/// Reads batches up to the mark over a connection that is cut again and again, after so many
/// bytes each time. Gives the events, and how often it was cut.
async fn read_with_cuts(
    reader: &mut BatchReader,
    proxy: &FaultyProxy,
    (from, mark): (Lsn, i32),
    cuts: impl IntoIterator<Item = u64>,
) -> (Vec<StreamEvent>, u32) {
    let mut cuts = cuts.into_iter();
    let (mut events, mut durable, mut failures) = (Vec::new(), from, 0);
    let mut armed = false;
    while !reaches(&events, mark) {
        if !armed && let Some(bytes) = cuts.next() {
            proxy.cut_after(bytes);
            armed = true;
        }
        let mut batch = Vec::new();
        match one_batch(reader, durable, 1_000, &mut batch).await {
            Ok(to) => {
                durable = to;
                events.extend(batch);
            }
            Err(error) => {
                assert!(error.may_reopen(), "{error}");
                failures += 1;
                armed = false;
                // All of it is applied up to its last commit, whatever was lost behind that.
                if let Some(StreamEvent::Commit { end_lsn, .. }) = batch.last() {
                    durable = *end_lsn;
                    events.extend(batch);
                }
            }
        }
    }
    (events, failures)
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_cut_go_on_without_gap_or_repeat() {
    skip_unless_available!(13);
    let source = Source::start(13).await;
    let (cut, whole) = (source.slot("cut").await, source.slot("whole").await);
    let proxy = FaultyProxy::start(source.cluster.port()).await;
    for round in 0..40 {
        let sql = format!(
            "INSERT INTO public.ledger (entry) SELECT 'round {round}' FROM generate_series(1, 200)"
        );
        source.run(&sql).await;
    }
    let mark = source.mark().await;
    let mut reader = BatchReader::open(feed_at(proxy.port(), "cut"))
        .await
        .expect("connected");
    let cuts = (0..5).map(|failures| 3_000 + 7_000 * failures);
    let from = (cut.consistent_point, mark);
    let (events, failures) = read_with_cuts(&mut reader, &proxy, from, cuts).await;
    assert!(failures > 2, "{failures}");
    let expected = drain_batches(source.feed("whole"), whole.consistent_point, 10_000, mark).await;
    assert_same(events, expected);
}

/// A connection that ends between two transactions looks most like an orderly end.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_batch_did_not_bring_is_never_taken_for_read() {
    skip_unless_available!(16);
    let seed = fastrand::u64(..);
    eprintln!("cuts: seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let source = Source::start(16).await;
    let whole = source.slot("whole").await;
    let mut slots = Vec::new();
    for name in ["one_by_one", "ahead"] {
        slots.push((name, source.slot(name).await));
    }
    let proxy = FaultyProxy::start(source.cluster.port()).await;
    let one_by_one = "DO $$ BEGIN FOR n IN 1..2000 LOOP \
                      INSERT INTO public.ledger (entry) VALUES (n::text); COMMIT; \
                      END LOOP; END $$";
    source.run(one_by_one).await;
    let mark = source.mark().await;
    let expected = drain_batches(source.feed("whole"), whole.consistent_point, 10_000, mark).await;
    for (name, slot) in slots {
        let opened = BatchReader::open(feed_at(proxy.port(), name)).await;
        let mut reader = opened.expect("connected");
        if name == "ahead" {
            reader = reader.reading_ahead();
        }
        let cuts: Vec<u64> = (0..25).map(|_| random.u64(2_000..60_000)).collect();
        let from = (slot.consistent_point, mark);
        let (events, failures) = read_with_cuts(&mut reader, &proxy, from, cuts).await;
        assert!(failures > 3, "{name}: {failures}");
        assert_same(events, expected.clone());
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_still_held_is_waited_for() {
    skip_unless_available!(15);
    let source = Source::start(15).await;
    let record = source.slot("held").await;
    let folder = tempfile::tempdir().expect("a folder");
    let holder = live(source.feed("held"), record.consistent_point, folder.path()).await;
    let mut impatient = LiveOptions::after(record.consistent_point, folder.path());
    impatient.slot_busy_deadline = Duration::from_millis(200);
    let refused = LiveReader::start(source.feed("held"), impatient).await;
    let error = refused.err().expect("the slot is held");
    assert!(
        error.may_reopen() && error.to_string().contains("held"),
        "{error}"
    );
    let mark = source.mark().await;
    let waiting = tokio::spawn(drain_batches(
        source.feed("held"),
        record.consistent_point,
        1_000,
        mark,
    ));
    let tries =
        "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'trunkline batch'";
    until(PATIENCE, async || source.ask(tries).await == "1").await;
    drop(holder);
    let events = waiting.await.expect("no panic");
    assert!(reaches(&events, mark));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_nobody_pulls_keeps_its_connection() {
    skip_unless_available!(15);
    let builder = Cluster::builder(15).setting("wal_sender_timeout", "1s");
    let source = Source::with(builder).await;
    let record = source.slot("slow").await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut reader = live(source.feed("slow"), record.consistent_point, folder.path()).await;
    // More than the queue and the sockets hold.
    let fill =
        "INSERT INTO public.ledger (entry) SELECT repeat('x', 2000) FROM generate_series(1, 5000)";
    for _ in 0..6 {
        source.run(fill).await;
    }
    let mark = source.mark().await;
    let began = source.ask("SELECT clock_timestamp()::text").await;
    let alive = format!(
        "SELECT coalesce(max(reply_time) > '{began}'::timestamptz + interval '4 s', false)::text FROM pg_stat_replication"
    );
    until(PATIENCE, async || source.ask(&alive).await == "true").await;
    let events = drain_live(&mut reader, mark).await;
    assert!(last_commit(&events).is_some());
    reader.stop().await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_durable_is_not_delivered_again_when_the_slot_was_not_advanced() {
    skip_unless_available!(15);
    let source = Source::start(15).await;
    let record = source.slot("slot").await;
    let first = source.mark().await;
    let mut reader = BatchReader::open(source.feed("slot"))
        .await
        .expect("connected");
    let events = peeked(&mut reader, record.consistent_point, 1_000).await;
    assert!(reaches(&events, first));
    let durable = last_commit(&events).expect("a commit");
    let second = source.mark().await;
    let third = source.mark().await;
    // A batch begins anew where the slot stands; what is durable is left out.
    let batched = peeked(&mut reader, durable, 1_000).await;
    assert_eq!(batched.len(), 6);
    assert!(reaches(&batched, third) && batched.iter().any(|event| is_mark(event, second)));
    reader.stop().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut reader = live(source.feed("slot"), durable, folder.path()).await;
    assert_same(drain_live(&mut reader, third).await, batched);
    reader.stop().await.expect("an orderly end");
}

/// Transactions of some size, so that a batch is one of several.
async fn written(source: &Source) -> i32 {
    for _ in 0..40 {
        let sql = "INSERT INTO ledger (entry) SELECT 'entry' FROM generate_series(1, 60)";
        source.run(sql).await;
    }
    source.mark().await
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_read_ahead_and_given_up_are_read_again_from_the_slot() {
    skip_unless_available!(15);
    let source = Source::start(15).await;
    let (record, whole) = (source.slot("slot").await, source.slot("whole").await);
    let mark = written(&source).await;
    let mut reader = BatchReader::open(source.feed("slot"))
        .await
        .expect("connected")
        .reading_ahead();
    let (mut events, mut durable) = (Vec::new(), record.consistent_point);
    let copies = "SELECT count(*)::text FROM pg_replication_slots WHERE temporary";
    for given_up in 0..4 {
        // One batch is taken, of the next one a part, and the one behind that is read meanwhile.
        events.extend(peeked(&mut reader, durable, 300).await);
        durable = last_commit(&events).unwrap_or(durable);
        assert_ne!(source.ask(copies).await, "0");
        reader.peek(durable, None, 300).await.expect("a peek");
        let part = reader.pull().await.expect("a pull");
        assert!(matches!(part, Pulled::Events(_)), "{given_up}: {part:?}");
    }
    while !reaches(&events, mark) {
        events.extend(peeked(&mut reader, durable, 300).await);
        durable = last_commit(&events).unwrap_or(durable);
    }
    reader.stop().await;
    until(PATIENCE, async || source.ask(copies).await == "0").await;
    let expected = drain_batches(source.feed("whole"), whole.consistent_point, 10_000, mark).await;
    assert_same(events, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_free_slot_one_batch_is_read_after_the_other() {
    skip_unless_available!(15);
    let builder = Cluster::builder(15).setting("max_replication_slots", "2");
    let source = Source::with(builder).await;
    let (record, whole) = (source.slot("slot").await, source.slot("whole").await);
    let mark = written(&source).await;
    let reader = BatchReader::open(source.feed("slot")).await;
    let mut reader = reader.expect("connected").reading_ahead();
    let batch = peeked(&mut reader, record.consistent_point, 300).await;
    assert!(!reader.reads_ahead() && last_commit(&batch) > Some(record.consistent_point));
    reader.stop().await;
    let read = drain_ahead(source.feed("slot"), record.consistent_point, 300, mark).await;
    let expected = drain_batches(source.feed("whole"), whole.consistent_point, 10_000, mark).await;
    assert_same(read, expected);
}
