//! A reader over one message. Every length is checked before anything is taken or allocated.

use super::decode::DecodeError;
use bytes::Bytes;
use trunkline_changes::Lsn;

/// Walks through one message.
pub(super) struct Cursor {
    message: Bytes,
    offset: usize,
}

impl Cursor {
    pub(super) fn new(message: Bytes) -> Self {
        Cursor { message, offset: 0 }
    }

    /// The message, shared.
    pub(super) fn message(&self) -> Bytes {
        self.message.clone()
    }

    pub(super) fn remaining(&self) -> usize {
        self.message.len() - self.offset
    }

    pub(super) fn error(&self, problem: &'static str) -> DecodeError {
        DecodeError::new(&self.message, self.offset, problem)
    }

    /// Moves over `length` bytes and returns where they begin.
    pub(super) fn skip(&mut self, length: usize) -> Result<usize, DecodeError> {
        if length > self.remaining() {
            return Err(self.error("it ends too early"));
        }
        let start = self.offset;
        self.offset += length;
        Ok(start)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let start = self.skip(N)?;
        Ok(self.message[start..start + N]
            .try_into()
            .expect("a slice of N bytes"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn lsn(&mut self) -> Result<Lsn, DecodeError> {
        Ok(Lsn::new(u64::from_be_bytes(self.array()?)))
    }

    /// A length or count: four bytes, never negative.
    pub(super) fn length(&mut self) -> Result<usize, DecodeError> {
        let length = self.i32()?;
        usize::try_from(length).map_err(|_| self.error("a length is negative"))
    }

    /// Text up to a zero byte.
    pub(super) fn text(&mut self) -> Result<String, DecodeError> {
        let rest = &self.message[self.offset..];
        let Some(length) = rest.iter().position(|&byte| byte == 0) else {
            return Err(self.error("a name has no end"));
        };
        let text = std::str::from_utf8(&rest[..length])
            .map_err(|_| self.error("a name is not UTF-8"))?
            .to_owned();
        self.offset += length + 1;
        Ok(text)
    }

    /// `length` bytes, shared.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let start = self.skip(length)?;
        Ok(self.message.slice(start..start + length))
    }

    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            _ => Err(self.error("bytes follow its end")),
        }
    }
}
