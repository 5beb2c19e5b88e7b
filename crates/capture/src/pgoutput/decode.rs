//! From bytes to a [`Message`]. A malformed message is an error that names its kind and the
//! offset, never its content.

use super::cursor::Cursor;
use super::{Framing, Message};
use bytes::Bytes;
use trunkline_changes::{
    Column, OldRow, Relation, ReplicaIdentity, Row, RowBuilder, TableName, Value,
};

const TRUNCATE_CASCADE: u8 = 1;
const TRUNCATE_RESTART_IDENTITY: u8 = 2;
const MESSAGE_TRANSACTIONAL: u8 = 1;
const COLUMN_IS_KEY: u8 = 1;

/// A message that is not what the protocol says it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a change message of kind {} ({length} bytes) cannot be read: {problem}, at byte {offset}", kind_name(*.kind))]
pub struct DecodeError {
    kind: Option<u8>,
    length: usize,
    offset: usize,
    problem: &'static str,
}

fn kind_name(kind: Option<u8>) -> String {
    match kind {
        Some(letter) if letter.is_ascii_graphic() => format!("`{}`", char::from(letter)),
        Some(byte) => format!("{byte:#04x}"),
        None => "none".to_owned(),
    }
}

impl DecodeError {
    pub(super) fn new(message: &[u8], offset: usize, problem: &'static str) -> Self {
        DecodeError {
            kind: message.first().copied(),
            length: message.len(),
            offset,
            problem,
        }
    }
}

/// The xid that a message of a streamed block carries: that of the subtransaction which made
/// the change. For kinds that carry one only (Relation, Type, Insert, Update, Delete,
/// Truncate, Message).
pub fn streamed_xid(message: &[u8]) -> Result<u32, DecodeError> {
    match message {
        &[_, a, b, c, d, ..] => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(DecodeError::new(message, 1, "it ends too early")),
    }
}

/// Reads one message.
pub fn decode(message: Bytes, framing: Framing) -> Result<Message, DecodeError> {
    let mut cursor = Cursor::new(message);
    let kind = cursor.u8()?;
    if framing == Framing::Streamed && carries_xid(kind) {
        cursor.u32()?;
    }
    let message = match kind {
        b'B' | b'C' | b'O' => boundary(kind, &mut cursor)?,
        b'S' | b'E' | b'c' | b'A' => stream(kind, &mut cursor)?,
        b'R' => relation(&mut cursor)?,
        b'Y' => Message::Type {
            id: cursor.u32()?,
            schema: cursor.text()?,
            name: cursor.text()?,
        },
        b'I' => insert(&mut cursor)?,
        b'U' => update(&mut cursor)?,
        b'D' => delete(&mut cursor)?,
        b'T' => truncate(&mut cursor)?,
        b'M' => emitted(&mut cursor)?,
        _ => return Err(cursor.error("its kind is unknown")),
    };
    cursor.finish()?;
    Ok(message)
}

fn carries_xid(kind: u8) -> bool {
    matches!(kind, b'R' | b'Y' | b'I' | b'U' | b'D' | b'T' | b'M')
}

fn boundary(kind: u8, cursor: &mut Cursor) -> Result<Message, DecodeError> {
    Ok(match kind {
        b'B' => Message::Begin {
            commit_lsn: cursor.lsn()?,
            committed_at_micros: cursor.i64()?,
            xid: cursor.u32()?,
        },
        b'C' => {
            unused_flags(cursor)?;
            Message::Commit {
                commit_lsn: cursor.lsn()?,
                end_lsn: cursor.lsn()?,
                committed_at_micros: cursor.i64()?,
            }
        }
        _ => Message::Origin {
            commit_lsn: cursor.lsn()?,
            name: cursor.text()?,
        },
    })
}

fn stream(kind: u8, cursor: &mut Cursor) -> Result<Message, DecodeError> {
    Ok(match kind {
        b'S' => Message::StreamStart {
            xid: cursor.u32()?,
            first: match cursor.u8()? {
                0 => false,
                1 => true,
                _ => return Err(cursor.error("a yes or no is neither")),
            },
        },
        b'E' => Message::StreamStop,
        b'c' => {
            let xid = cursor.u32()?;
            unused_flags(cursor)?;
            Message::StreamCommit {
                xid,
                commit_lsn: cursor.lsn()?,
                end_lsn: cursor.lsn()?,
                committed_at_micros: cursor.i64()?,
            }
        }
        _ => Message::StreamAbort {
            xid: cursor.u32()?,
            subxid: cursor.u32()?,
        },
    })
}

fn unused_flags(cursor: &mut Cursor) -> Result<(), DecodeError> {
    match cursor.u8()? {
        0 => Ok(()),
        _ => Err(cursor.error("a flag is set that has no meaning")),
    }
}

fn relation(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let id = cursor.u32()?;
    let schema = cursor.text()?;
    let name = cursor.text()?;
    let letter = cursor.u8()?;
    let identity = ReplicaIdentity::from_letter(letter)
        .ok_or_else(|| cursor.error("the replica identity is unknown"))?;
    let count = usize::from(cursor.u16()?);
    // A column takes at least a flag, an empty name, a type and a modifier.
    if count * 10 > cursor.remaining() {
        return Err(cursor.error("it ends too early"));
    }
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        columns.push(Column {
            key: cursor.u8()? & COLUMN_IS_KEY != 0,
            name: cursor.text()?,
            type_oid: cursor.u32()?,
            type_modifier: cursor.i32()?,
        });
    }
    Ok(Message::Relation(Relation {
        id,
        // The protocol leaves pg_catalog's name out.
        name: match schema.as_str() {
            "" => TableName::new("pg_catalog", name),
            _ => TableName::new(schema, name),
        },
        identity,
        columns,
    }))
}

fn insert(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let relation = cursor.u32()?;
    match cursor.u8()? {
        b'N' => Ok(Message::Insert {
            relation,
            new: row(cursor)?,
        }),
        _ => Err(cursor.error("a new row was expected")),
    }
}

fn update(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let relation = cursor.u32()?;
    let mut marker = cursor.u8()?;
    let mut old = None;
    if let b'K' | b'O' = marker {
        old = Some(old_row(marker, cursor)?);
        marker = cursor.u8()?;
    }
    match marker {
        b'N' => Ok(Message::Update {
            relation,
            old,
            new: row(cursor)?,
        }),
        _ => Err(cursor.error("a new row was expected")),
    }
}

fn delete(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let relation = cursor.u32()?;
    let marker = cursor.u8()?;
    Ok(Message::Delete {
        relation,
        old: old_row(marker, cursor)?,
    })
}

fn old_row(marker: u8, cursor: &mut Cursor) -> Result<OldRow, DecodeError> {
    match marker {
        b'K' => Ok(OldRow::Key(row(cursor)?)),
        b'O' => Ok(OldRow::Full(row(cursor)?)),
        _ => Err(cursor.error("an old row or key was expected")),
    }
}

fn row(cursor: &mut Cursor) -> Result<Row, DecodeError> {
    let count = usize::from(cursor.u16()?);
    // A value takes at least its one-byte kind.
    if count > cursor.remaining() {
        return Err(cursor.error("it ends too early"));
    }
    let mut row = RowBuilder::borrowing(cursor.message(), count);
    for _ in 0..count {
        match cursor.u8()? {
            b'n' => row.push(Value::Null),
            b'u' => row.push(Value::Unchanged),
            b't' => {
                let length = cursor.length()?;
                let start = cursor.skip(length)?;
                row.push_range(start, length);
            }
            b'b' => return Err(cursor.error("a value came in binary, which was not asked for")),
            _ => return Err(cursor.error("the kind of a value is unknown")),
        }
    }
    Ok(row.finish())
}

fn truncate(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let count = cursor.length()?;
    let options = cursor.u8()?;
    if options & !(TRUNCATE_CASCADE | TRUNCATE_RESTART_IDENTITY) != 0 {
        return Err(cursor.error("an option of TRUNCATE is unknown"));
    }
    if count > cursor.remaining() / 4 {
        return Err(cursor.error("it ends too early"));
    }
    let mut relations = Vec::with_capacity(count);
    for _ in 0..count {
        relations.push(cursor.u32()?);
    }
    Ok(Message::Truncate {
        relations,
        cascade: options & TRUNCATE_CASCADE != 0,
        restart_identity: options & TRUNCATE_RESTART_IDENTITY != 0,
    })
}

fn emitted(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let flags = cursor.u8()?;
    if flags & !MESSAGE_TRANSACTIONAL != 0 {
        return Err(cursor.error("a flag is set that has no meaning"));
    }
    let lsn = cursor.lsn()?;
    let prefix = cursor.text()?;
    let length = cursor.length()?;
    Ok(Message::Emitted {
        transactional: flags & MESSAGE_TRANSACTIONAL != 0,
        lsn,
        prefix,
        content: cursor.bytes(length)?,
    })
}
