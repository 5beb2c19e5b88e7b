//! The messages of `pgoutput` (manual, "Logical Replication Message Formats"), written.

use super::line::CellValue;
use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;
use trunkline_changes::Lsn;

/// Where a message stands: in a transaction that is sent whole, or in a block of one that is
/// streamed, where it carries the transaction's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Plain,
    Streamed { xid: u32 },
}

/// A transaction's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) xid: u32,
    pub(super) commit_lsn: Lsn,
    pub(super) lsn: Lsn,
    pub(super) committed_at_micros: i64,
}

pub(super) fn begin(end: End) -> Bytes {
    let mut out = BytesMut::with_capacity(21);
    out.put_u8(b'B');
    out.put_u64(end.commit_lsn.get());
    out.put_i64(end.committed_at_micros);
    out.put_u32(end.xid);
    out.freeze()
}

pub(super) fn commit(end: End) -> Bytes {
    let mut out = BytesMut::with_capacity(26);
    out.put_u8(b'C');
    put_end(&mut out, end);
    out.freeze()
}

pub(super) fn stream_start(xid: u32) -> Bytes {
    let mut out = BytesMut::with_capacity(6);
    out.put_u8(b'S');
    out.put_u32(xid);
    out.put_u8(1);
    out.freeze()
}

pub(super) fn stream_stop() -> Bytes {
    Bytes::from_static(b"E")
}

pub(super) fn stream_commit(end: End) -> Bytes {
    let mut out = BytesMut::with_capacity(30);
    out.put_u8(b'c');
    out.put_u32(end.xid);
    put_end(&mut out, end);
    out.freeze()
}

fn put_end(out: &mut BytesMut, end: End) {
    out.put_u8(0);
    out.put_u64(end.commit_lsn.get());
    out.put_u64(end.lsn.get());
    out.put_i64(end.committed_at_micros);
}

pub(super) fn emitted(frame: Frame, prefix: &[u8], content: &[u8]) -> Bytes {
    let mut out = headed(b'M', frame, prefix.len() + content.len() + 14);
    out.put_u8(1);
    out.put_u64(0);
    out.put_slice(prefix);
    out.put_u8(0);
    put_length(&mut out, content.len());
    out.put_slice(content);
    out.freeze()
}

/// `body` is all but the kind and the transaction.
pub(super) fn relation(frame: Frame, body: &[u8]) -> Bytes {
    let mut out = headed(b'R', frame, body.len());
    out.put_slice(body);
    out.freeze()
}

pub(super) fn truncate(frame: Frame, relations: &[u32], cascade: bool, restart: bool) -> Bytes {
    let mut out = headed(b'T', frame, 5 + 4 * relations.len());
    put_length(&mut out, relations.len());
    out.put_u8(u8::from(cascade) | u8::from(restart) << 1);
    for &relation in relations {
        out.put_u32(relation);
    }
    out.freeze()
}

/// Begins a message that carries a transaction's id where it is streamed.
pub(super) fn headed(kind: u8, frame: Frame, bytes: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(bytes + 5);
    out.put_u8(kind);
    if let Frame::Streamed { xid } = frame {
        out.put_u32(xid);
    }
    out
}

pub(super) fn put_value(out: &mut BytesMut, value: CellValue<'_>) {
    match value {
        CellValue::Null => out.put_u8(b'n'),
        CellValue::Unchanged => out.put_u8(b'u'),
        CellValue::Bare(b"true") => put_text(out, b"t"),
        CellValue::Bare(b"false") => put_text(out, b"f"),
        CellValue::Bare(text) => put_text(out, text),
        CellValue::Quoted(inner) => put_undoubled(out, inner),
    }
}

fn put_text(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(b't');
    put_length(out, text.len());
    out.put_slice(text);
}

/// Each pair of quotes becomes one.
fn put_undoubled(out: &mut BytesMut, inner: &[u8]) {
    out.put_u8(b't');
    let length_at = out.len();
    out.put_u32(0);
    let mut rest = inner;
    while let Some(quote) = memchr(b'\'', rest) {
        out.put_slice(&rest[..=quote]);
        rest = rest.get(quote + 2..).unwrap_or_default();
    }
    out.put_slice(rest);
    let length = u32::try_from(out.len() - length_at - 4).expect("a line is below 1 GiB");
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u32(u32::try_from(length).expect("a line is below 1 GiB"));
}
