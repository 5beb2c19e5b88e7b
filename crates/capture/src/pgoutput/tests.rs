//! The decoder against its own encoder, against bytes written out by hand, and against noise.

use super::encode::encode;
use super::{Framing, Message, decode, streamed_xid};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use trunkline_changes::{Column, Lsn, OldRow, Relation, ReplicaIdentity, Row, TableName, Value};

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 \"é_]{1,12}"
}

fn lsn() -> impl Strategy<Value = Lsn> {
    any::<u64>().prop_map(Lsn::new)
}

fn row() -> impl Strategy<Value = Row> {
    let value = prop_oneof![
        Just(None),
        Just(Some(None)),
        vec(any::<u8>(), 0..40).prop_map(|text| Some(Some(text))),
    ];
    vec(value, 0..12).prop_map(|values| {
        values
            .iter()
            .map(|value| match value {
                None => Value::Null,
                Some(None) => Value::Unchanged,
                Some(Some(text)) => Value::Text(text),
            })
            .collect()
    })
}

fn old_row() -> impl Strategy<Value = OldRow> {
    prop_oneof![row().prop_map(OldRow::Key), row().prop_map(OldRow::Full)]
}

fn column() -> impl Strategy<Value = Column> {
    (name(), any::<bool>(), any::<u32>(), any::<i32>()).prop_map(
        |(name, key, type_oid, type_modifier)| Column {
            name,
            key,
            type_oid,
            type_modifier,
        },
    )
}

fn relation() -> impl Strategy<Value = Relation> {
    let identity = prop_oneof![
        Just(ReplicaIdentity::Default),
        Just(ReplicaIdentity::Nothing),
        Just(ReplicaIdentity::Full),
        Just(ReplicaIdentity::Index),
    ];
    (any::<u32>(), name(), name(), identity, vec(column(), 0..8)).prop_map(
        |(id, schema, table, identity, columns)| Relation {
            id,
            name: TableName::new(schema, table),
            identity,
            columns,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let boundaries = prop_oneof![
        (lsn(), any::<i64>(), any::<u32>()).prop_map(|(commit_lsn, committed_at_micros, xid)| {
            Message::Begin {
                commit_lsn,
                committed_at_micros,
                xid,
            }
        }),
        (lsn(), lsn(), any::<i64>()).prop_map(|(commit_lsn, end_lsn, committed_at_micros)| {
            Message::Commit {
                commit_lsn,
                end_lsn,
                committed_at_micros,
            }
        }),
        (lsn(), name()).prop_map(|(commit_lsn, name)| Message::Origin { commit_lsn, name }),
        (any::<u32>(), any::<bool>()).prop_map(|(xid, first)| Message::StreamStart { xid, first }),
        Just(Message::StreamStop),
        (any::<u32>(), lsn(), lsn(), any::<i64>()).prop_map(
            |(xid, commit_lsn, end_lsn, committed_at_micros)| {
                Message::StreamCommit {
                    xid,
                    commit_lsn,
                    end_lsn,
                    committed_at_micros,
                }
            }
        ),
        (any::<u32>(), any::<u32>()).prop_map(|(xid, subxid)| Message::StreamAbort { xid, subxid }),
    ];
    let changes = prop_oneof![
        relation().prop_map(Message::Relation),
        (any::<u32>(), name(), name()).prop_map(|(id, schema, name)| Message::Type {
            id,
            schema,
            name
        }),
        (any::<u32>(), row()).prop_map(|(relation, new)| Message::Insert { relation, new }),
        (any::<u32>(), proptest::option::of(old_row()), row())
            .prop_map(|(relation, old, new)| Message::Update { relation, old, new }),
        (any::<u32>(), old_row()).prop_map(|(relation, old)| Message::Delete { relation, old }),
        (vec(any::<u32>(), 0..5), any::<bool>(), any::<bool>()).prop_map(
            |(relations, cascade, restart_identity)| {
                Message::Truncate {
                    relations,
                    cascade,
                    restart_identity,
                }
            }
        ),
        (any::<bool>(), lsn(), name(), vec(any::<u8>(), 0..50)).prop_map(
            |(transactional, lsn, prefix, content)| {
                Message::Emitted {
                    transactional,
                    lsn,
                    prefix,
                    content: content.into(),
                }
            }
        ),
    ];
    prop_oneof![boundaries, changes]
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::Plain), Just(Framing::Streamed)]
}

proptest! {
    #[test]
    fn what_was_encoded_decodes_to_the_same(message in message(), framing in framing(), xid: u32) {
        let bytes = encode(&message, framing, xid);
        prop_assert_eq!(decode(bytes, framing), Ok(message));
    }

    #[test]
    fn the_xid_of_a_streamed_change_is_read_without_decoding_it(new in row(), xid: u32) {
        let bytes = encode(&Message::Insert { relation: 1, new }, Framing::Streamed, xid);
        prop_assert_eq!(streamed_xid(&bytes), Ok(xid));
    }

    #[test]
    fn every_truncated_message_is_refused(message in message(), framing in framing(), cut: prop::sample::Index) {
        let bytes = encode(&message, framing, 7);
        let cut = cut.index(bytes.len());
        prop_assert!(decode(bytes.slice(..cut), framing).is_err());
    }

    #[test]
    fn a_message_with_bytes_behind_it_is_refused(message in message(), framing in framing(), extra: u8) {
        let mut bytes = encode(&message, framing, 7).to_vec();
        bytes.push(extra);
        prop_assert!(decode(bytes.into(), framing).is_err());
    }

    #[test]
    fn a_flipped_byte_never_panics(message in message(), framing in framing(), at: prop::sample::Index, byte: u8) {
        let mut bytes = encode(&message, framing, 7).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        drop(decode(bytes.into(), framing));
    }

    #[test]
    fn noise_never_panics(kind in prop::sample::select(b"BCORYIUDTMSEcA\x00z".to_vec()), noise in vec(any::<u8>(), 0..200), framing in framing()) {
        let mut bytes = vec![kind];
        bytes.extend(noise);
        drop(streamed_xid(&bytes));
        drop(decode(bytes.into(), framing));
    }
}

#[test]
fn messages_written_by_hand_are_read_as_the_manual_says() {
    let insert = b"I\x00\x00\x40\x01N\x00\x03t\x00\x00\x00\x021\x30nu";
    let row: Row = [Value::Text(b"10"), Value::Null, Value::Unchanged]
        .into_iter()
        .collect();
    let cases: [(&[u8], Message); 5] = [
        (
            insert,
            Message::Insert {
                relation: 0x4001,
                new: row,
            },
        ),
        (
            b"B\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x04",
            Message::Begin {
                commit_lsn: Lsn::new(0x1_0000_0002),
                committed_at_micros: 3,
                xid: 4,
            },
        ),
        (
            b"T\x00\x00\x00\x02\x03\x00\x00\x00\x05\x00\x00\x00\x06",
            Message::Truncate {
                relations: vec![5, 6],
                cascade: true,
                restart_identity: true,
            },
        ),
        (
            b"M\x01\x00\x00\x00\x00\x00\x00\x00\x09trunkline\x00\x00\x00\x00\x02hi",
            Message::Emitted {
                transactional: true,
                lsn: Lsn::new(9),
                prefix: "trunkline".into(),
                content: Bytes::from_static(b"hi"),
            },
        ),
        (
            b"A\x00\x00\x00\x05\x00\x00\x00\x06",
            Message::StreamAbort { xid: 5, subxid: 6 },
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            decode(Bytes::from_static(bytes), Framing::Plain),
            Ok(expected)
        );
    }
}

#[test]
fn a_table_of_the_catalog_is_named_with_its_schema() {
    let bytes = Bytes::from_static(b"R\x00\x00\x00\x01\x00pg_class\x00n\x00\x00");
    let Ok(Message::Relation(relation)) = decode(bytes, Framing::Plain) else {
        panic!("a relation");
    };
    assert_eq!(relation.name, TableName::new("pg_catalog", "pg_class"));
}

#[test]
fn lengths_that_lie_are_refused_before_anything_is_allocated() {
    let cases: [&[u8]; 6] = [
        b"",
        b"I\x00\x00\x00\x01N\x00\x01t\x7f\xff\xff\xff1",
        b"I\x00\x00\x00\x01N\x00\x01t\xff\xff\xff\xff1",
        b"I\x00\x00\x00\x01N\xff\xffn",
        b"T\x7f\xff\xff\xff\x00\x00\x00\x00\x01",
        b"R\x00\x00\x00\x01a\x00b\x00d\xff\xff",
    ];
    for bytes in cases {
        assert!(
            decode(Bytes::from_static(bytes), Framing::Plain).is_err(),
            "{bytes:?}"
        );
    }
}

#[test]
fn an_error_names_the_kind_and_not_the_content() {
    let error = decode(
        Bytes::from_static(b"I\x00\x00\x00\x01N\x00\x01bsecret"),
        Framing::Plain,
    )
    .expect_err("binary was not asked for");
    assert!(error.to_string().contains("`I`"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}
