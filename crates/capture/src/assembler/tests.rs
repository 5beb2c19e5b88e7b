//! The assembler, message by message; and how the tests make messages.

use super::Assembler;
use crate::error::StreamError;
use crate::pgoutput::encode::encode;
use crate::pgoutput::{Framing, Message};
use bytes::Bytes;
use std::sync::Arc;
use trunkline_changes::{
    Change, Column, Lsn, Relation, ReplicaIdentity, Row, StreamEvent, TableName, Transaction, Value,
};

const TABLE: u32 = 16_384;

pub(super) fn relation(columns: usize) -> Relation {
    let column = |index| Column {
        name: format!("c{index}"),
        key: index == 0,
        type_oid: 25,
        type_modifier: -1,
    };
    Relation {
        id: TABLE,
        name: TableName::new("public", "t"),
        identity: ReplicaIdentity::Default,
        columns: (0..columns).map(column).collect(),
    }
}

fn row(value: u32, columns: usize) -> Row {
    let text = value.to_string();
    std::iter::repeat_n(Value::Text(text.as_bytes()), columns).collect()
}

pub(super) fn insert(value: u32, columns: usize) -> Message {
    Message::Insert {
        relation: TABLE,
        new: row(value, columns),
    }
}

pub(super) fn plain(message: &Message) -> Bytes {
    encode(message, Framing::Plain, 0)
}

pub(super) fn streamed(message: &Message, subxid: u32) -> Bytes {
    encode(message, Framing::Streamed, subxid)
}

pub(super) fn begin(xid: u32, commit: u64) -> Bytes {
    plain(&Message::Begin {
        commit_lsn: Lsn::new(commit),
        committed_at_micros: 0,
        xid,
    })
}

pub(super) fn commit(commit: u64) -> Bytes {
    plain(&Message::Commit {
        commit_lsn: Lsn::new(commit),
        end_lsn: Lsn::new(commit + 8),
        committed_at_micros: 0,
    })
}

pub(super) fn start(xid: u32, first: bool) -> Bytes {
    plain(&Message::StreamStart { xid, first })
}

pub(super) fn stop() -> Bytes {
    plain(&Message::StreamStop)
}

pub(super) fn stream_commit(xid: u32, commit: u64) -> Bytes {
    plain(&Message::StreamCommit {
        xid,
        commit_lsn: Lsn::new(commit),
        end_lsn: Lsn::new(commit + 8),
        committed_at_micros: 0,
    })
}

pub(super) fn abort(xid: u32, subxid: u32) -> Bytes {
    plain(&Message::StreamAbort { xid, subxid })
}

pub(super) fn assembler(after: u64) -> Assembler {
    Assembler::new(Lsn::new(after), std::env::temp_dir(), 1 << 20)
}

pub(super) fn feed(
    assembler: &mut Assembler,
    messages: &[Bytes],
) -> Result<Vec<StreamEvent>, StreamError> {
    let mut events = Vec::new();
    for message in messages {
        assembler.feed(message.clone())?;
        while let Some(event) = assembler.next_event()? {
            events.push(event);
        }
    }
    Ok(events)
}

/// What a transaction of inserts should be delivered as.
pub(super) fn delivered(xid: u32, commit: u64, values: &[u32], columns: usize) -> Vec<StreamEvent> {
    let transaction = Transaction {
        xid,
        commit_lsn: Lsn::new(commit),
        committed_at_micros: 0,
    };
    let relation = Arc::new(relation(columns));
    let change = |&value: &u32| {
        StreamEvent::Change(Change::Insert {
            relation: relation.clone(),
            new: row(value, columns),
        })
    };
    std::iter::once(StreamEvent::Begin(transaction))
        .chain(values.iter().map(change))
        .chain([StreamEvent::Commit {
            transaction,
            end_lsn: Lsn::new(commit + 8),
        }])
        .collect()
}

#[test]
fn an_ordinary_transaction_passes_through_at_once() {
    let mut assembler = assembler(0);
    let messages = [
        begin(5, 100),
        plain(&Message::Relation(relation(2))),
        plain(&insert(1, 2)),
        plain(&insert(2, 2)),
    ];
    let expected = delivered(5, 100, &[1, 2], 2);
    assert_eq!(
        feed(&mut assembler, &messages).expect("well-formed"),
        expected[..3]
    );
    assert!(!assembler.is_between_transactions());
    assert_eq!(
        feed(&mut assembler, &[commit(100)]).expect("well-formed"),
        expected[3..]
    );
    assert!(assembler.is_between_transactions());
    assert_eq!(assembler.delivered(), Lsn::new(108));
}

#[test]
fn what_ended_by_the_position_is_dropped_whole_but_its_tables_are_learnt() {
    let mut assembler = assembler(108);
    let messages = [
        begin(5, 100),
        plain(&Message::Relation(relation(2))),
        plain(&insert(1, 2)),
        commit(100),
        begin(6, 108),
        plain(&insert(2, 2)),
        commit(108),
    ];
    let events = feed(&mut assembler, &messages).expect("well-formed");
    assert_eq!(events, delivered(6, 108, &[2], 2));
}

#[test]
fn a_position_inside_of_a_commit_record_is_refused() {
    for messages in [
        vec![begin(5, 100), commit(100)],
        vec![start(5, true), stop(), stream_commit(5, 100)],
    ] {
        let error = feed(&mut assembler(104), &messages).expect_err("ambiguous");
        assert!(
            matches!(error, StreamError::PositionInsideCommit { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_streamed_transaction_that_ended_by_the_position_is_dropped() {
    let mut assembler = assembler(108);
    let messages = [
        start(5, true),
        streamed(&Message::Relation(relation(1)), 5),
        streamed(&insert(1, 1), 5),
        stop(),
        stream_commit(5, 100),
    ];
    assert_eq!(feed(&mut assembler, &messages).expect("well-formed"), []);
    assert_eq!(
        (assembler.memory_bytes(), assembler.running_transactions()),
        (0, 0)
    );
}

#[test]
fn rolled_back_parts_are_left_out_with_their_tables() {
    let messages = [
        start(5, true),
        streamed(&Message::Relation(relation(1)), 5),
        streamed(&insert(1, 1), 5),
        // The savepoint adds a column, and is rolled back.
        streamed(&Message::Relation(relation(2)), 6),
        streamed(&insert(2, 2), 6),
        stop(),
        abort(5, 6),
        start(5, false),
        streamed(&Message::Relation(relation(1)), 5),
        streamed(&insert(3, 1), 7),
        stop(),
        stream_commit(5, 100),
    ];
    let events = feed(&mut assembler(0), &messages).expect("well-formed");
    assert_eq!(events, delivered(5, 100, &[1, 3], 1));
}

#[test]
fn a_table_described_in_a_streamed_transaction_is_its_own_until_it_commits() {
    let mut assembler = assembler(0);
    let before = [
        begin(4, 50),
        plain(&Message::Relation(relation(1))),
        commit(50),
        start(5, true),
        streamed(&Message::Relation(relation(2)), 5),
        streamed(&insert(9, 2), 5),
        stop(),
    ];
    feed(&mut assembler, &before).expect("well-formed");
    let other = [begin(6, 60), plain(&insert(1, 1)), commit(60)];
    assert_eq!(
        feed(&mut assembler, &other).expect("the description from before"),
        delivered(6, 60, &[1], 1)
    );
    let after = [
        stream_commit(5, 70),
        begin(7, 80),
        plain(&insert(2, 2)),
        commit(80),
    ];
    let events = feed(&mut assembler, &after).expect("the description of the committed one");
    assert_eq!(events[3..], delivered(7, 80, &[2], 2));
}

#[test]
fn a_description_that_arrived_later_is_not_undone_by_an_older_transactions_commit() {
    let messages = [
        start(5, true),
        streamed(&Message::Relation(relation(1)), 5),
        streamed(&insert(1, 1), 5),
        stop(),
        begin(6, 60),
        plain(&Message::Relation(relation(2))),
        plain(&insert(2, 2)),
        commit(60),
        stream_commit(5, 70),
        begin(7, 80),
        plain(&insert(3, 2)),
        commit(80),
    ];
    let events = feed(&mut assembler(0), &messages).expect("well-formed");
    let expected = [
        delivered(6, 60, &[2], 2),
        delivered(5, 70, &[1], 1),
        delivered(7, 80, &[3], 2),
    ];
    assert_eq!(events, expected.concat());
}

#[test]
fn a_rolled_back_transaction_leaves_nothing() {
    let mut assembler = assembler(0);
    let messages = [
        start(5, true),
        streamed(&Message::Relation(relation(1)), 5),
        streamed(&insert(1, 1), 5),
        stop(),
        abort(5, 5),
        abort(99, 99),
        abort(99, 100),
    ];
    assert_eq!(feed(&mut assembler, &messages).expect("well-formed"), []);
    assert_eq!(
        (assembler.memory_bytes(), assembler.running_transactions()),
        (0, 0)
    );
}

#[test]
fn messages_out_of_place_are_refused() {
    let cases = [
        vec![commit(100)],
        vec![begin(5, 100), begin(6, 200)],
        vec![begin(5, 100), commit(101)],
        vec![begin(5, 100), start(6, true)],
        vec![begin(5, 100), abort(6, 6)],
        vec![plain(&insert(1, 1))],
        vec![stop()],
        vec![start(5, false)],
        vec![start(5, true), start(6, true)],
        vec![start(5, true), begin(6, 100)],
        vec![start(5, true), stop(), start(5, true)],
        vec![stream_commit(5, 100)],
        vec![begin(5, 100), plain(&insert(1, 1))],
        vec![
            begin(5, 100),
            plain(&Message::Relation(relation(2))),
            plain(&insert(1, 1)),
        ],
        vec![
            start(5, true),
            streamed(&insert(1, 1), 5),
            stop(),
            stream_commit(5, 100),
        ],
    ];
    for messages in cases {
        assert!(feed(&mut assembler(0), &messages).is_err(), "{messages:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let mut assembler = Assembler::new(Lsn::ZERO, "/nonexistent/spill".into(), 1000);
    let messages = [start(5, true), streamed(&insert(1, 1), 5)];
    let error = feed(&mut assembler, &messages).expect_err("no such folder");
    assert!(error.to_string().contains("/nonexistent/spill"), "{error}");
}
