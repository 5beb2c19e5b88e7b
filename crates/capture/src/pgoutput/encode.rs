//! The way back, for the tests: a message as a server would send it.

use super::{Framing, Message};
use bytes::{BufMut, Bytes, BytesMut};
use trunkline_changes::{OldRow, ReplicaIdentity, Row, Value};

/// A message as bytes; `xid` is what kinds inside a streamed block carry.
pub(crate) fn encode(message: &Message, framing: Framing, xid: u32) -> Bytes {
    let mut out = BytesMut::new();
    let kind = kind(message);
    out.put_u8(kind);
    if framing == Framing::Streamed
        && matches!(kind, b'R' | b'Y' | b'I' | b'U' | b'D' | b'T' | b'M')
    {
        out.put_u32(xid);
    }
    match message {
        Message::Begin { .. } | Message::Commit { .. } | Message::Origin { .. } => {
            boundary(message, &mut out);
        }
        Message::Relation(_) | Message::Type { .. } => schema(message, &mut out),
        Message::Insert { .. } | Message::Update { .. } | Message::Delete { .. } => {
            change(message, &mut out);
        }
        Message::Truncate {
            relations,
            cascade,
            restart_identity,
        } => {
            out.put_u32(u32::try_from(relations.len()).expect("few"));
            out.put_u8(u8::from(*cascade) | u8::from(*restart_identity) << 1);
            for &relation in relations {
                out.put_u32(relation);
            }
        }
        Message::Emitted {
            transactional,
            lsn,
            prefix,
            content,
        } => {
            out.put_u8(u8::from(*transactional));
            out.put_u64(lsn.get());
            text(prefix, &mut out);
            out.put_u32(u32::try_from(content.len()).expect("short"));
            out.put_slice(content);
        }
        _ => stream(message, &mut out),
    }
    out.freeze()
}

fn kind(message: &Message) -> u8 {
    match message {
        Message::Begin { .. } => b'B',
        Message::Commit { .. } => b'C',
        Message::Origin { .. } => b'O',
        Message::Emitted { .. } => b'M',
        Message::Relation(_) => b'R',
        Message::Type { .. } => b'Y',
        Message::Insert { .. } => b'I',
        Message::Update { .. } => b'U',
        Message::Delete { .. } => b'D',
        Message::Truncate { .. } => b'T',
        Message::StreamStart { .. } => b'S',
        Message::StreamStop => b'E',
        Message::StreamCommit { .. } => b'c',
        Message::StreamAbort { .. } => b'A',
    }
}

fn text(text: &str, out: &mut BytesMut) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

fn boundary(message: &Message, out: &mut BytesMut) {
    match message {
        Message::Begin {
            commit_lsn,
            committed_at_micros,
            xid,
        } => {
            out.put_u64(commit_lsn.get());
            out.put_i64(*committed_at_micros);
            out.put_u32(*xid);
        }
        Message::Commit {
            commit_lsn,
            end_lsn,
            committed_at_micros,
        } => {
            out.put_u8(0);
            out.put_u64(commit_lsn.get());
            out.put_u64(end_lsn.get());
            out.put_i64(*committed_at_micros);
        }
        Message::Origin { commit_lsn, name } => {
            out.put_u64(commit_lsn.get());
            text(name, out);
        }
        other => unreachable!("{other:?}"),
    }
}

fn stream(message: &Message, out: &mut BytesMut) {
    match message {
        Message::StreamStart { xid, first } => {
            out.put_u32(*xid);
            out.put_u8(u8::from(*first));
        }
        Message::StreamStop => {}
        Message::StreamCommit {
            xid,
            commit_lsn,
            end_lsn,
            committed_at_micros,
        } => {
            out.put_u32(*xid);
            out.put_u8(0);
            out.put_u64(commit_lsn.get());
            out.put_u64(end_lsn.get());
            out.put_i64(*committed_at_micros);
        }
        Message::StreamAbort { xid, subxid } => {
            out.put_u32(*xid);
            out.put_u32(*subxid);
        }
        other => unreachable!("{other:?}"),
    }
}

fn schema(message: &Message, out: &mut BytesMut) {
    match message {
        Message::Relation(relation) => {
            out.put_u32(relation.id);
            text(&relation.name.schema, out);
            text(&relation.name.name, out);
            out.put_u8(match relation.identity {
                ReplicaIdentity::Default => b'd',
                ReplicaIdentity::Nothing => b'n',
                ReplicaIdentity::Full => b'f',
                ReplicaIdentity::Index => b'i',
            });
            out.put_u16(u16::try_from(relation.columns.len()).expect("few"));
            for column in &relation.columns {
                out.put_u8(u8::from(column.key));
                text(&column.name, out);
                out.put_u32(column.type_oid);
                out.put_i32(column.type_modifier);
            }
        }
        Message::Type { id, schema, name } => {
            out.put_u32(*id);
            text(schema, out);
            text(name, out);
        }
        other => unreachable!("{other:?}"),
    }
}

fn change(message: &Message, out: &mut BytesMut) {
    match message {
        Message::Insert { relation, new } => {
            out.put_u32(*relation);
            row(b'N', new, out);
        }
        Message::Update { relation, old, new } => {
            out.put_u32(*relation);
            if let Some(old) = old {
                old_row(old, out);
            }
            row(b'N', new, out);
        }
        Message::Delete { relation, old } => {
            out.put_u32(*relation);
            old_row(old, out);
        }
        other => unreachable!("{other:?}"),
    }
}

fn old_row(old: &OldRow, out: &mut BytesMut) {
    match old {
        OldRow::Key(key) => row(b'K', key, out),
        OldRow::Full(full) => row(b'O', full, out),
    }
}

fn row(marker: u8, values: &Row, out: &mut BytesMut) {
    out.put_u8(marker);
    out.put_u16(u16::try_from(values.len()).expect("few"));
    for value in values.values() {
        match value {
            Value::Null => out.put_u8(b'n'),
            Value::Unchanged => out.put_u8(b'u'),
            Value::Text(text) => {
                out.put_u8(b't');
                out.put_u32(u32::try_from(text.len()).expect("short"));
                out.put_slice(text);
            }
        }
    }
}
