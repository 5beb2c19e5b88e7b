//! Both decoders deliver the same events, whatever was changed, live and in batches.

use crate::setup::{
    Source, assert_same, drain_ahead, drain_batches, drain_live, last_commit, live,
};
use std::sync::Arc;
use std::time::Duration;
use trunkline_changes::{Change, Lsn, StreamEvent, Transaction};
use trunkline_testkit::types::TypeMatrix;
use trunkline_testkit::world::Writers;
use trunkline_testkit::{skip_unless_available, until};

/// What neither the matrix nor the shop's writers do: DDL between changes, old rows before
/// and after another replica identity, TRUNCATE in its forms, rolled back and prepared parts.
const SCRIPT: &str = r#"
    INSERT INTO public.wide SELECT i, 0, repeat('it''s', 3000) FROM generate_series(1, 20) AS i;
    UPDATE public.wide SET touched = touched + 1;
    UPDATE public.wide SET id = id + 100 WHERE id < 5;
    INSERT INTO public.keyless VALUES (1, 'one'), (1, 'one'), (NULL, NULL), (2, E'tab\tback\\slash\nline '' new-tuple: x');
    UPDATE public.keyless SET b = 'ein' WHERE a = 1;
    DELETE FROM public.keyless WHERE a = 2;
    DELETE FROM public.keyless WHERE a IS NULL;
    DELETE FROM public.wide WHERE id > 10 AND id < 15;
    BEGIN;
    INSERT INTO public.ledger (entry) VALUES ('kept');
    SAVEPOINT a;
    INSERT INTO public.ledger (entry) VALUES ('gone');
    TRUNCATE public.keyless;
    ROLLBACK TO a;
    INSERT INTO public.ledger (entry) VALUES ('kept too');
    COMMIT;
    BEGIN;
    INSERT INTO public.ledger (entry) VALUES ('in two steps');
    PREPARE TRANSACTION 'in two steps';
    COMMIT PREPARED 'in two steps';
    ALTER TABLE public.ledger ALTER COLUMN entry TYPE varchar(900);
    INSERT INTO public.ledger (entry) VALUES ('of another type');
    ALTER TABLE public.ledger ADD COLUMN "new-tuple:" int, ADD COLUMN "a]b" text DEFAULT 'x';
    INSERT INTO public.ledger (entry, "new-tuple:") VALUES ('with more columns', 1);
    UPDATE public.ledger SET "a]b" = ' old-key: id[bigint]:1';
    ALTER TABLE public.ledger DROP COLUMN "a]b";
    UPDATE public.ledger SET "new-tuple:" = 2;
    DELETE FROM public.ledger WHERE entry = 'kept';
    TRUNCATE public.keyless, public.wide;
    TRUNCATE public.ledger RESTART IDENTITY CASCADE;
    INSERT INTO public.ledger (entry) VALUES ('after');
    SELECT pg_logical_emit_message(true, 'trunkline', 'a barrier, sz: 3 content:abc');
    SELECT pg_logical_emit_message(false, 'trunkline', 'of no transaction');
"#;

async fn both_decoders_agree(major: u32) {
    let source = Source::start(major).await;
    TypeMatrix::for_major(major).create_in(&source.client).await;
    let pgoutput = source.slot("by_pgoutput").await;
    let text = source.text_slot("by_text").await;
    let batch = source.text_slot("by_text_batch").await;
    let ahead = source.text_slot("by_text_ahead").await;
    let writers = Writers::to(&source.cluster.uri("shop")).tasks(3).start();
    until(Duration::from_mins(1), async || writers.committed() > 50).await;
    for round in 1..=2 {
        TypeMatrix::for_major(major)
            .mutate_in(&source.client, round)
            .await;
    }
    for statement in SCRIPT.split_inclusive(";\n") {
        source.run(statement).await;
    }
    until(Duration::from_mins(1), async || writers.committed() > 100).await;
    writers.stop().await;
    let mark = source.mark().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut events = Vec::new();
    for (feed, start) in [
        (source.feed("by_pgoutput"), pgoutput.consistent_point),
        (source.text_feed("by_text").await, text.consistent_point),
    ] {
        let mut reader = live(feed, start, folder.path()).await;
        let read = drain_live(&mut reader, mark).await;
        reader.stop().await.expect("an orderly end");
        events.push(comparable(read, major));
    }
    let feed = source.text_feed("by_text_batch").await;
    let batched = drain_batches(feed, batch.consistent_point, 300, mark).await;
    let feed = source.text_feed("by_text_ahead").await;
    let read_ahead = drain_ahead(feed, ahead.consistent_point, 300, mark).await;
    let (text, pgoutput) = (events.pop().expect("two"), events.pop().expect("two"));
    assert!(pgoutput.len() > 500, "{}", pgoutput.len());
    assert_eq!(last_commit(&pgoutput), last_commit(&text));
    assert_same(pgoutput, text.clone());
    assert_same(comparable(batched, major), text.clone());
    assert_same(comparable(read_ahead, major), text);
}

/// Without what one of the two does not carry: where a commit record begins; and messages,
/// which pgoutput sends from 14 on.
fn comparable(events: Vec<StreamEvent>, major: u32) -> Vec<StreamEvent> {
    let plain = |transaction: Transaction| Transaction {
        commit_lsn: Lsn::ZERO,
        ..transaction
    };
    let kept = events.into_iter().filter(|event| {
        major >= 14 || !matches!(event, StreamEvent::Change(Change::Message { .. }))
    });
    kept.map(|event| match event {
        StreamEvent::Begin(transaction) => StreamEvent::Begin(plain(transaction)),
        StreamEvent::Commit {
            transaction,
            end_lsn,
        } => StreamEvent::Commit {
            transaction: plain(transaction),
            end_lsn,
        },
        StreamEvent::Change(change) => StreamEvent::Change(without_old_types(change)),
    })
    .collect()
}

/// The catalog does not know any more which types the columns of this table had.
fn without_old_types(mut change: Change) -> Change {
    let relations = match &mut change {
        Change::Insert { relation, .. }
        | Change::Update { relation, .. }
        | Change::Delete { relation, .. } => std::slice::from_mut(relation),
        Change::Truncate { relations, .. } => relations.as_mut_slice(),
        Change::Message { .. } => return change,
    };
    for relation in relations {
        if relation.name.name == "ledger" {
            for column in &mut Arc::make_mut(relation).columns {
                (column.type_oid, column.type_modifier) = (0, -1);
            }
        }
    }
    change
}

macro_rules! on_version {
    ($($name:ident: $major:literal),*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            skip_unless_available!($major);
            both_decoders_agree($major).await;
        }
    )*};
}

on_version! {
    both_decoders_deliver_the_same_events_on_12: 12,
    both_decoders_deliver_the_same_events_on_13: 13,
    both_decoders_deliver_the_same_events_on_14: 14,
    both_decoders_deliver_the_same_events_on_15: 15,
    both_decoders_deliver_the_same_events_on_16: 16,
    both_decoders_deliver_the_same_events_on_17: 17,
    both_decoders_deliver_the_same_events_on_18: 18
}
