//! A source and a target database on one server, the stream between them decoded from the
//! source's own slot, and hand-made streams for what a source would not send.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trunkline_apply::{
    Applier, ApplyError, ApplyOptions, ConflictPolicy, CopyCover, Durability, TABLES_SQL, TableMap,
};
use trunkline_capture::assembler::Assembler;
use trunkline_changes::{
    Change, Column, Lsn, OldRow, Relation, ReplicaIdentity, Row, StreamEvent, TableName,
    Transaction, Value,
};
use trunkline_postgres::Conninfo;
use trunkline_testkit::{Cluster, until};

const LONG: Duration = Duration::from_hours(1);

/// The two databases.
pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    next_lsn: u64,
}

impl Bench {
    /// Empty databases, the control schema on the target.
    pub(crate) async fn start() -> Self {
        Bench::on(Cluster::start_any()).await
    }

    pub(crate) async fn on(cluster: Cluster) -> Self {
        for database in ["source", "target"] {
            cluster.create_database(database).await;
        }
        let bench = Bench {
            cluster,
            next_lsn: 1000,
        };
        bench.target(&format!("CREATE SCHEMA trunkline; {TABLES_SQL}"));
        bench
    }

    /// Makes the target anew as a copy of the source, which nobody may be connected to.
    pub(crate) async fn copy_the_source(&self) {
        let client = self.cluster.client("postgres").await;
        until(Duration::from_secs(30), async || {
            let drop = client.batch_execute("DROP DATABASE IF EXISTS target").await;
            drop.is_ok()
                && client
                    .batch_execute("CREATE DATABASE target TEMPLATE source")
                    .await
                    .is_ok()
        })
        .await;
        self.target(&format!("CREATE SCHEMA trunkline; {TABLES_SQL}"));
    }

    /// Runs SQL on the source; what it prints.
    pub(crate) fn source(&self, sql: &str) -> String {
        self.cluster.psql("source", sql)
    }

    /// Runs SQL on the target; what it prints.
    pub(crate) fn target(&self, sql: &str) -> String {
        self.cluster.psql("target", sql)
    }

    /// Runs SQL on both.
    pub(crate) fn both(&self, sql: &str) {
        self.source(sql);
        self.target(sql);
    }

    pub(crate) fn conninfo(&self) -> Conninfo {
        Conninfo::resolve(&self.cluster.uri("target")).expect("a conninfo")
    }

    /// Every user table of the target takes the changes of its namesake; nothing was copied.
    pub(crate) fn options(&self) -> ApplyOptions {
        let tables = self.target(
            "SELECT n.nspname || E'\\x01' || c.relname || E'\\x02' FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema|trunkline)'",
        );
        let tables = tables
            .split('\u{2}')
            .filter_map(|line| line.trim_start_matches('\n').split_once('\u{1}'));
        ApplyOptions {
            migration: "test".into(),
            side: trunkline_changes::Side::Target,
            start: Lsn::ZERO,
            cover: CopyCover::nothing_copied(),
            tables: TableMap::same(tables.map(|(schema, name)| TableName::new(schema, name))),
            policy: ConflictPolicy::Stop,
            linger: LONG,
        }
    }

    pub(crate) async fn applier(&self) -> Applier {
        Applier::open(&self.conninfo(), self.options())
            .await
            .expect("the applier opens")
    }

    pub(crate) async fn with_policy(&self, policy: ConflictPolicy) -> Applier {
        let options = ApplyOptions {
            policy,
            ..self.options()
        };
        Applier::open(&self.conninfo(), options)
            .await
            .expect("the applier opens")
    }

    /// An applier with which transactions wait this long for company.
    pub(crate) async fn lingering(&self, linger: Duration) -> Applier {
        let options = ApplyOptions {
            linger,
            ..self.options()
        };
        Applier::open(&self.conninfo(), options)
            .await
            .expect("the applier opens")
    }

    /// Creates the source's publication and slot: the stream begins here.
    pub(crate) fn begin_stream(&self) {
        self.source("CREATE PUBLICATION everything FOR ALL TABLES");
        self.source("SELECT pg_create_logical_replication_slot('apply', 'pgoutput')");
    }

    /// Everything that was committed on the source since the stream began or was last taken.
    pub(crate) async fn take_stream(&self) -> Vec<StreamEvent> {
        let client = self.cluster.client("source").await;
        let rows = client
            .query(
                "SELECT data FROM pg_logical_slot_get_binary_changes('apply', NULL, NULL, \
                 'proto_version', '1', 'publication_names', 'everything')",
                &[],
            )
            .await
            .expect("the slot gives changes");
        let folder = tempfile::tempdir().expect("a folder");
        let mut assembler = Assembler::new(Lsn::ZERO, folder.path().to_owned(), 1 << 30);
        let mut events = Vec::new();
        for row in rows {
            let data: Vec<u8> = row.get(0);
            assembler.feed(Bytes::from(data)).expect("a message");
            while let Some(event) = assembler.next_event().expect("an event") {
                events.push(event);
            }
        }
        events
    }

    /// The relation message that the source would send for a table of the target: its key
    /// is the primary key.
    pub(crate) fn relation(&self, table: &str, identity: ReplicaIdentity) -> Arc<Relation> {
        let columns = self.target(&format!(
            "SELECT a.attname || E'\\t' || coalesce(a.attnum = ANY (i.indkey), false) \
             FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary \
             WHERE a.attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped \
             AND attgenerated = '' ORDER BY attnum"
        ));
        let name = self.target(&format!(
            "SELECT n.nspname || E'\\t' || c.relname || E'\\t' || c.oid FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = '{table}'::regclass"
        ));
        let mut parts = name.split('\t');
        let mut part = || parts.next().expect("three parts").to_owned();
        let name = TableName::new(part(), part());
        Arc::new(Relation {
            id: part().parse().expect("an oid"),
            name,
            identity,
            columns: columns
                .lines()
                .filter_map(|line| line.split_once('\t'))
                .map(|(name, key)| Column {
                    name: name.into(),
                    key: identity == ReplicaIdentity::Full || key == "true",
                    type_oid: 25,
                    type_modifier: -1,
                })
                .collect(),
        })
    }

    /// A source transaction of these changes.
    pub(crate) fn transaction(&mut self, xid: u32, changes: Vec<Change>) -> Vec<StreamEvent> {
        let commit_lsn = Lsn::new(self.next_lsn);
        self.next_lsn += 100;
        let transaction = Transaction {
            xid,
            commit_lsn,
            committed_at_micros: 800_000_000_000_000,
        };
        let mut events = vec![StreamEvent::Begin(transaction)];
        events.extend(changes.into_iter().map(StreamEvent::Change));
        let end_lsn = Lsn::new(self.next_lsn - 50);
        events.push(StreamEvent::Commit {
            transaction,
            end_lsn,
        });
        events
    }

    /// Pushes a transaction of these changes and flushes.
    pub(crate) async fn apply(
        &mut self,
        applier: &mut Applier,
        changes: Vec<Change>,
    ) -> Result<(), ApplyError> {
        let events = self.transaction(7, changes);
        push_all(applier, events).await?;
        applier.flush(Durability::Fast).await
    }
}

/// Where a transaction's commit record ends.
pub(crate) fn end(events: &[StreamEvent]) -> Lsn {
    match events.last() {
        Some(StreamEvent::Commit { end_lsn, .. }) => *end_lsn,
        other => panic!("no commit: {other:?}"),
    }
}

pub(crate) async fn push_all(
    applier: &mut Applier,
    events: Vec<StreamEvent>,
) -> Result<(), ApplyError> {
    for event in events {
        applier.push(event).await?;
    }
    Ok(())
}

/// `-` is NULL, `?` is not sent.
pub(crate) fn row<'a>(values: impl IntoIterator<Item = &'a str>) -> Row {
    let value = |text: &'a str| match text {
        "-" => Value::Null,
        "?" => Value::Unchanged,
        text => Value::Text(text.as_bytes()),
    };
    values.into_iter().map(value).collect()
}

pub(crate) fn insert(relation: &Arc<Relation>, values: &[&str]) -> Change {
    Change::Insert {
        relation: Arc::clone(relation),
        new: row(values.iter().copied()),
    }
}

pub(crate) fn update(relation: &Arc<Relation>, old: Option<&[&str]>, values: &[&str]) -> Change {
    Change::Update {
        relation: Arc::clone(relation),
        old: old.map(|old| old_row(relation, old)),
        new: row(values.iter().copied()),
    }
}

pub(crate) fn delete(relation: &Arc<Relation>, values: &[&str]) -> Change {
    Change::Delete {
        relation: Arc::clone(relation),
        old: old_row(relation, values),
    }
}

fn old_row(relation: &Relation, values: &[&str]) -> OldRow {
    let row = row(values.iter().copied());
    match relation.identity {
        ReplicaIdentity::Full => OldRow::Full(row),
        _ => OldRow::Key(row),
    }
}
