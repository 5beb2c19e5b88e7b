//! Both readers deliver the same events, on every version, and one after the other.

use crate::setup::{
    Source, assert_same, drain_ahead, drain_batches, drain_live, last_commit, live, one_batch,
    reaches,
};
use std::time::Duration;
use trunkline_capture::{BatchReader, Pulled};
use trunkline_changes::{Change, StreamEvent, Value};
use trunkline_testkit::world::Writers;
use trunkline_testkit::{Cluster, skip_unless_available, until};

/// What the shop's writers do not do.
const SCRIPT: &str = "
    INSERT INTO public.wide SELECT i, 0, repeat('x', 9000) FROM generate_series(1, 20) AS i;
    UPDATE public.wide SET touched = touched + 1;
    UPDATE public.wide SET id = id + 100 WHERE id < 5;
    INSERT INTO public.keyless VALUES (1, 'one'), (1, 'one'), (NULL, NULL), (2, E'tab\\tback\\\\slash');
    UPDATE public.keyless SET b = 'ein' WHERE a = 1;
    DELETE FROM public.keyless WHERE a = 2;
    DELETE FROM public.wide WHERE id > 10 AND id < 15;
    BEGIN;
    INSERT INTO public.ledger (entry) VALUES ('kept');
    SAVEPOINT a;
    INSERT INTO public.ledger (entry) VALUES ('gone');
    SAVEPOINT b;
    TRUNCATE public.keyless;
    ROLLBACK TO a;
    INSERT INTO public.ledger (entry) VALUES ('kept too');
    COMMIT;
    BEGIN;
    INSERT INTO public.ledger (entry) VALUES ('never');
    ROLLBACK;
    BEGIN;
    INSERT INTO public.ledger (entry) VALUES ('in two steps');
    PREPARE TRANSACTION 'in two steps';
    COMMIT PREPARED 'in two steps';
    ALTER TABLE public.keyless ADD COLUMN c int DEFAULT 5;
    INSERT INTO public.keyless VALUES (3, 'three', 3);
    BEGIN;
    ALTER TABLE public.ledger ADD COLUMN extra int;
    INSERT INTO public.ledger (entry, extra) VALUES ('with a column', 1);
    COMMIT;
    TRUNCATE public.keyless, public.wide;
    TRUNCATE public.ledger RESTART IDENTITY CASCADE;
    INSERT INTO public.ledger (entry) VALUES ('after');
";

async fn both_readers_agree(major: u32) {
    let source = Source::start(major).await;
    let (batch, ahead, stream) = (
        source.slot("by_batch").await,
        source.slot("ahead").await,
        source.slot("by_stream").await,
    );
    let writers = Writers::to(&source.cluster.uri("shop")).tasks(3).start();
    until(Duration::from_mins(1), async || writers.committed() > 100).await;
    for statement in SCRIPT.split_inclusive(';') {
        source.run(statement).await;
    }
    if major >= 14 {
        source
            .run("SELECT pg_logical_emit_message(true, 'trunkline', 'a barrier')")
            .await;
        source
            .run("SELECT pg_logical_emit_message(false, 'trunkline', 'of no transaction')")
            .await;
    }
    until(Duration::from_mins(1), async || writers.committed() > 200).await;
    writers.stop().await;
    let mark = source.mark().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut reader = live(
        source.feed("by_stream"),
        stream.consistent_point,
        folder.path(),
    )
    .await;
    let streamed = drain_live(&mut reader, mark).await;
    reader.stop().await.expect("an orderly end");
    let batched = drain_batches(source.feed("by_batch"), batch.consistent_point, 300, mark).await;
    let read_ahead = drain_ahead(source.feed("ahead"), ahead.consistent_point, 300, mark).await;
    seen_everything(&streamed, major);
    // The slots were made one after the other, and nothing was written between them.
    assert_same(streamed, batched.clone());
    assert_same(read_ahead, batched);
}

/// The test would prove little if a kind of change were missing.
fn seen_everything(events: &[StreamEvent], major: u32) {
    let any = |test: &dyn Fn(&Change) -> bool| {
        events
            .iter()
            .any(|event| matches!(event, StreamEvent::Change(change) if test(change)))
    };
    assert!(any(
        &|change| matches!(change, Change::Truncate { relations, restart_identity: true, cascade: true } if relations.len() == 1)
    ));
    assert!(any(
        &|change| matches!(change, Change::Truncate { relations, .. } if relations.len() == 2)
    ));
    assert!(any(
        &|change| matches!(change, Change::Update { new, .. } if new.has_unchanged())
    ));
    assert!(any(&|change| matches!(
        change,
        Change::Update {
            old: Some(trunkline_changes::OldRow::Full(_)),
            ..
        }
    )));
    assert!(any(&|change| matches!(
        change,
        Change::Update {
            old: Some(trunkline_changes::OldRow::Key(_)),
            ..
        }
    )));
    assert!(any(&|change| matches!(change, Change::Delete { .. })));
    let messages = events
        .iter()
        .filter(|event| matches!(event, StreamEvent::Change(Change::Message { prefix, .. }) if prefix == "trunkline"));
    assert_eq!(messages.count(), usize::from(major >= 14));
}

macro_rules! on_version {
    ($($name:ident: $major:literal),*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            skip_unless_available!($major);
            both_readers_agree($major).await;
        }
    )*};
}

on_version! {
    both_readers_deliver_the_same_events_on_12: 12,
    both_readers_deliver_the_same_events_on_13: 13,
    both_readers_deliver_the_same_events_on_14: 14,
    both_readers_deliver_the_same_events_on_15: 15,
    both_readers_deliver_the_same_events_on_16: 16,
    both_readers_deliver_the_same_events_on_17: 17,
    both_readers_deliver_the_same_events_on_18: 18
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_values_of_another_encoding_arrive_in_utf_8() {
    skip_unless_available!(15);
    let builder = Cluster::builder(15).map(|server| server.encoding("LATIN1"));
    let source = Source::with(builder).await;
    let (batch, stream) = (
        source.slot("by_batch").await,
        source.slot("by_stream").await,
    );
    source
        .run("CREATE TABLE public.\"größe\" (\"maß\" text PRIMARY KEY)")
        .await;
    source
        .run("INSERT INTO public.\"größe\" VALUES ('fünf')")
        .await;
    let mark = source.mark().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut reader = live(
        source.feed("by_stream"),
        stream.consistent_point,
        folder.path(),
    )
    .await;
    let streamed = drain_live(&mut reader, mark).await;
    let batched = drain_batches(source.feed("by_batch"), batch.consistent_point, 300, mark).await;
    let seen = streamed.iter().any(|event| {
        matches!(event, StreamEvent::Change(Change::Insert { relation, new })
            if relation.name.name == "größe"
                && relation.columns[0].name == "maß"
                && new.value(0) == Value::Text("fünf".as_bytes()))
    });
    assert!(seen);
    assert_same(streamed, batched);
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_between_the_modes_on_one_slot_loses_and_repeats_nothing() {
    skip_unless_available!(15);
    let source = Source::start(15).await;
    let (switched, whole) = (source.slot("switched").await, source.slot("whole").await);
    let writers = Writers::to(&source.cluster.uri("shop")).tasks(2).start();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut events, mut durable) = (Vec::new(), switched.consistent_point);
    for round in 1..=4_u64 {
        until(Duration::from_mins(1), async || {
            writers.committed() > 60 * round
        })
        .await;
        let mut reader = live(source.feed("switched"), durable, folder.path()).await;
        let mut pulled = Vec::new();
        while last_commit(&pulled).is_none() {
            if let Pulled::Events(more) = reader.pull(Duration::from_secs(5)).await.expect("a pull")
            {
                pulled.extend(more);
            }
        }
        durable = take_whole(pulled, &mut events);
        reader.confirm(durable);
        reader.stop().await.expect("an orderly end");
        let mut reader = BatchReader::open(source.feed("switched"))
            .await
            .expect("connected");
        durable = one_batch(&mut reader, durable, 100, &mut events)
            .await
            .expect("a batch");
        reader.stop().await;
    }
    writers.stop().await;
    let mark = source.mark().await;
    let mut reader = live(source.feed("switched"), durable, folder.path()).await;
    events.extend(drain_live(&mut reader, mark).await);
    assert!(reaches(&events, mark));
    let expected = drain_batches(source.feed("whole"), whole.consistent_point, 10_000, mark).await;
    assert_same(events, expected);
}

/// Keeps whole transactions only: a half one was not committed on the other side.
fn take_whole(
    mut pulled: Vec<StreamEvent>,
    events: &mut Vec<StreamEvent>,
) -> trunkline_changes::Lsn {
    let durable = last_commit(&pulled).expect("a commit");
    while !matches!(pulled.last(), Some(StreamEvent::Commit { .. })) {
        pulled.pop();
    }
    events.extend(pulled);
    durable
}
