//! A source with a plain role, a publication and slots, and readers drained to a mark.

use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use tokio_postgres::Client;
use trunkline_capture::slot::{NewSlot, Plugin, SlotRecord};
use trunkline_capture::test_decoding::StreamedTable;
use trunkline_capture::{
    BatchReader, CaptureError, Decoder, Feed, LiveOptions, LiveReader, Pulled, ReadPosition,
};
use trunkline_changes::{Change, Lsn, Side, StreamEvent, TableName, Value};
use trunkline_postgres::Conninfo;
use trunkline_testkit::{Cluster, ClusterBuilder, uri_at, world};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

const OBJECTS: &str = "
    CREATE ROLE mover LOGIN REPLICATION;
    CREATE TABLE public.mark (n int PRIMARY KEY);
    CREATE TABLE public.ledger (id bigserial PRIMARY KEY, entry text NOT NULL);
    CREATE TABLE public.wide (id int PRIMARY KEY, touched int NOT NULL, body text NOT NULL);
    ALTER TABLE public.wide ALTER COLUMN body SET STORAGE EXTERNAL;
    CREATE TABLE public.keyless (a int, b text);
    ALTER TABLE public.keyless REPLICA IDENTITY FULL;
    CREATE PUBLICATION \"All of it\" FOR ALL TABLES;
";

/// A server that is written to and read from.
pub(crate) struct Source {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    marks: AtomicI32,
}

impl Source {
    pub(crate) async fn start(major: u32) -> Self {
        Self::with(Cluster::builder(major)).await
    }

    pub(crate) async fn with(builder: ClusterBuilder) -> Self {
        let cluster = builder.start();
        cluster.create_database("shop").await;
        let client = cluster.client("shop").await;
        world::create(&client, 1).await;
        client.batch_execute(OBJECTS).await.expect("objects");
        Source {
            cluster,
            client,
            marks: AtomicI32::new(0),
        }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect("a statement");
    }

    /// One value, as text.
    pub(crate) async fn ask(&self, sql: &str) -> String {
        let row = self.client.query_one(sql, &[]).await.expect("one row");
        row.get(0)
    }

    pub(crate) fn conninfo(&self) -> Conninfo {
        conninfo_at(self.cluster.port())
    }

    pub(crate) fn feed(&self, slot: &str) -> Feed {
        feed_at(self.cluster.port(), slot)
    }

    /// Makes a slot as the plain role.
    pub(crate) async fn slot(&self, name: &str) -> SlotRecord {
        let new = NewSlot::prepare(&self.conninfo(), Side::Source).await;
        new.expect("connected")
            .create(name, Plugin::Pgoutput)
            .await
            .expect("a slot")
    }

    /// Commits a mark that [`reaches`] finds in the stream.
    pub(crate) async fn mark(&self) -> i32 {
        let n = self.marks.fetch_add(1, Ordering::Relaxed);
        self.run(&format!("INSERT INTO public.mark VALUES ({n})"))
            .await;
        n
    }

    pub(crate) async fn confirmed(&self, slot: &str) -> Lsn {
        let sql = format!(
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{slot}'"
        );
        self.ask(&sql).await.parse().expect("a position")
    }
}

pub(crate) fn conninfo_at(port: u16) -> Conninfo {
    let uri = uri_at(port, "shop").replace("postgres@", "mover@");
    Conninfo::resolve(&uri).expect("a URI")
}

pub(crate) fn feed_at(port: u16, slot: &str) -> Feed {
    Feed {
        conninfo: conninfo_at(port),
        side: Side::Source,
        slot: slot.to_owned(),
        decoder: Decoder::Pgoutput {
            publications: vec!["All of it".to_owned()],
        },
    }
}

/// Whether a transaction is the one that a mark was made in.
pub(crate) fn is_mark(event: &StreamEvent, n: i32) -> bool {
    let StreamEvent::Change(Change::Insert { relation, new }) = event else {
        return false;
    };
    relation.name.name == "mark" && new.value(0) == Value::Text(n.to_string().as_bytes())
}

/// Whether the events end with a whole transaction, and one of them made the mark.
pub(crate) fn reaches(events: &[StreamEvent], mark: i32) -> bool {
    matches!(events.last(), Some(StreamEvent::Commit { .. }))
        && events.iter().rev().any(|event| is_mark(event, mark))
}

/// The end of the last commit.
pub(crate) fn last_commit(events: &[StreamEvent]) -> Option<Lsn> {
    events.iter().rev().find_map(|event| match event {
        StreamEvent::Commit { end_lsn, .. } => Some(*end_lsn),
        _ => None,
    })
}

/// Without transactions that changed nothing: whether those are sent depends on the version
/// and on the mode.
pub(crate) fn without_empty(events: Vec<StreamEvent>) -> Vec<StreamEvent> {
    let mut kept: Vec<StreamEvent> = Vec::with_capacity(events.len());
    for event in events {
        let empty = matches!(event, StreamEvent::Commit { .. })
            && matches!(kept.last(), Some(StreamEvent::Begin(_)));
        if empty {
            kept.pop();
        } else {
            kept.push(event);
        }
    }
    kept
}

/// Fails at the first event that differs, without printing all of them.
pub(crate) fn assert_same(left: Vec<StreamEvent>, right: Vec<StreamEvent>) {
    let (left, right) = (without_empty(left), without_empty(right));
    for (index, (one, other)) in left.iter().zip(&right).enumerate() {
        assert_eq!(
            one,
            other,
            "event {index} of {} and {}",
            left.len(),
            right.len()
        );
    }
    assert_eq!(left.len(), right.len());
}

/// Everything after `after` up to the mark in batches, the slot advanced behind each.
pub(crate) async fn drain_batches(
    feed: Feed,
    after: Lsn,
    max_changes: u32,
    mark: i32,
) -> Vec<StreamEvent> {
    let mut reader = BatchReader::open(feed).await.expect("connected");
    let (mut events, mut durable) = (Vec::new(), after);
    while !reaches(&events, mark) {
        durable = one_batch(&mut reader, durable, max_changes, &mut events)
            .await
            .expect("a batch");
    }
    reader.stop().await;
    events
}

/// The same with the next batch read while one is taken, and the slot advanced behind every
/// third; behind each where the slot cannot be copied.
pub(crate) async fn drain_ahead(
    feed: Feed,
    after: Lsn,
    max_changes: u32,
    mark: i32,
) -> Vec<StreamEvent> {
    let reader = BatchReader::open(feed).await.expect("connected");
    let mut reader = reader.reading_ahead();
    let (mut events, mut durable) = (Vec::new(), after);
    for batch in 1.. {
        events.extend(peeked(&mut reader, durable, max_changes).await);
        durable = last_commit(&events).unwrap_or(after).max(after);
        if batch % 3 == 0 || !reader.reads_ahead() {
            assert!(reader.advance(durable).await.expect("an advance") <= durable);
        }
        if reaches(&events, mark) {
            break;
        }
    }
    reader.stop().await;
    events
}

/// One batch, to its end.
pub(crate) async fn peeked(
    reader: &mut BatchReader,
    after: Lsn,
    max_changes: u32,
) -> Vec<StreamEvent> {
    reader.peek(after, None, max_changes).await.expect("a peek");
    let mut events = Vec::new();
    while let Pulled::Events(more) = reader.pull().await.expect("a pull") {
        events.extend(more);
    }
    events
}

/// One batch, applied as it were, and the slot advanced. Gives what is durable then.
pub(crate) async fn one_batch(
    reader: &mut BatchReader,
    after: Lsn,
    max_changes: u32,
    events: &mut Vec<StreamEvent>,
) -> Result<Lsn, CaptureError> {
    reader.peek(after, None, max_changes).await?;
    let covered = loop {
        match reader.pull().await? {
            Pulled::Events(more) => events.extend(more),
            Pulled::EndOfBatch { covered, .. } => break covered,
            Pulled::Idle { .. } => unreachable!("a batch is never idle"),
        }
    };
    // As the follower does: nothing before what is covered will be asked for again.
    let read = covered.map_or(after, ReadPosition::lsn);
    let durable = last_commit(events).unwrap_or(after).max(read).max(after);
    let reached = reader.advance(durable).await?;
    assert!(reached <= durable);
    Ok(durable)
}

pub(crate) async fn live(feed: Feed, after: Lsn, folder: &Path) -> LiveReader {
    LiveReader::start(feed, LiveOptions::after(after, folder))
        .await
        .expect("a stream")
}

/// Everything from a running stream up to the mark, each commit confirmed.
pub(crate) async fn drain_live(reader: &mut LiveReader, mark: i32) -> Vec<StreamEvent> {
    let mut events = Vec::new();
    let give_up_at = tokio::time::Instant::now() + PATIENCE;
    while !reaches(&events, mark) {
        assert!(
            tokio::time::Instant::now() < give_up_at,
            "the mark never came"
        );
        match reader
            .pull(Duration::from_secs(1))
            .await
            .expect("the stream goes on")
        {
            Pulled::Events(more) => events.extend(more),
            Pulled::Idle { .. } => {}
            Pulled::EndOfBatch { .. } => unreachable!("a stream has no batches"),
        }
        if let Some(durable) = last_commit(&events) {
            reader.confirm(durable);
        }
    }
    events
}

impl Source {
    /// Reads a slot of `test_decoding`: every table, as the publication has it.
    pub(crate) async fn text_feed(&self, slot: &str) -> Feed {
        let sql = "SELECT c.oid, n.nspname::text, c.relname::text \
                   FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                   WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384";
        let rows = self.client.query(sql, &[]).await.expect("the tables");
        let tables = rows.iter().map(|row| StreamedTable {
            oid: row.get(0),
            name: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
            inserts_only: false,
        });
        Feed {
            decoder: Decoder::TestDecoding {
                tables: tables.collect(),
            },
            ..self.feed(slot)
        }
    }

    /// Makes a slot of `test_decoding` as the plain role.
    pub(crate) async fn text_slot(&self, name: &str) -> SlotRecord {
        let new = NewSlot::prepare(&self.conninfo(), Side::Source).await;
        let made = new.expect("connected").create(name, Plugin::TestDecoding);
        made.await.expect("a slot")
    }
}
