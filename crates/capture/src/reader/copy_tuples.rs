//! The rows of `COPY … TO STDOUT (FORMAT binary)` of a peek, as they arrive
//! (manual, "COPY", section "Binary Format"). Frames need not end where rows do.

use crate::error::StreamError;
use bytes::{Buf, Bytes, BytesMut};
use trunkline_changes::Lsn;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The signature, flags, and the length of the extension.
const HEADER_BYTES: usize = 11 + 4 + 4;

/// What a row has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// The plugin's message.
    Data,
    /// The position of what it is about, and the message.
    PositionAndData,
}

impl Columns {
    /// The count of columns, and the bytes of the position with its length.
    fn layout(self) -> (i16, usize) {
        match self {
            Columns::Data => (1, 0),
            Columns::PositionAndData => (2, 4 + 8),
        }
    }
}

/// Cuts rows out of frames.
pub(super) struct CopyTuples {
    columns: Columns,
    pending: BytesMut,
    place: Place,
}

#[derive(Default, PartialEq)]
enum Place {
    #[default]
    Header,
    Rows,
    Ended,
}

impl CopyTuples {
    pub(super) fn new(columns: Columns) -> Self {
        CopyTuples {
            columns,
            pending: BytesMut::new(),
            place: Place::Header,
        }
    }

    /// Takes a frame and gives the values that are complete with it. A frame that begins and
    /// ends with a row, as the servers send them, is not copied.
    pub(super) fn push(
        &mut self,
        frame: Bytes,
        mut each: impl FnMut(Lsn, Bytes),
    ) -> Result<(), StreamError> {
        if self.pending.is_empty() {
            let mut rest = frame;
            while let Some((position, value)) = self.cut(&mut rest)? {
                each(position, value);
            }
            self.pending.extend_from_slice(&rest);
            return Ok(());
        }
        self.pending.extend_from_slice(&frame);
        let mut rest = std::mem::take(&mut self.pending).freeze();
        while let Some((position, value)) = self.cut(&mut rest)? {
            each(position, value);
        }
        self.pending = BytesMut::from(&rest[..]);
        Ok(())
    }

    /// Whether the COPY's own end has been seen, with nothing behind it.
    pub(super) fn finish(&self) -> Result<(), StreamError> {
        match self.place {
            Place::Ended if self.pending.is_empty() => Ok(()),
            _ => Err(StreamError::MalformedPeek("they end too early")),
        }
    }

    /// The next whole value, or `None` when more bytes are needed.
    fn cut(&mut self, bytes: &mut Bytes) -> Result<Option<(Lsn, Bytes)>, StreamError> {
        if self.place == Place::Header && !self.header(bytes)? {
            return Ok(None);
        }
        if self.place == Place::Ended {
            return if bytes.is_empty() {
                Ok(None)
            } else {
                Err(StreamError::MalformedPeek("bytes follow their end"))
            };
        }
        let Some(count) = bytes.first_chunk::<2>() else {
            return Ok(None);
        };
        let (columns, position_bytes) = self.columns.layout();
        match i16::from_be_bytes(*count) {
            -1 => {
                bytes.advance(2);
                self.place = Place::Ended;
                return self.cut(bytes);
            }
            count if count == columns => {}
            _ => return Err(StreamError::MalformedPeek("they have other columns")),
        }
        let data = 2 + position_bytes;
        let Some(length) = bytes.get(data..data + 4) else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
        let length =
            usize::try_from(length).map_err(|_| StreamError::MalformedPeek("a value is NULL"))?;
        if bytes.len() - data - 4 < length {
            return Ok(None);
        }
        let position = position(&bytes[2..data])?;
        bytes.advance(data + 4);
        Ok(Some((position, bytes.split_to(length))))
    }

    fn header(&mut self, bytes: &mut Bytes) -> Result<bool, StreamError> {
        let Some(header) = bytes.get(..HEADER_BYTES) else {
            return Ok(false);
        };
        if &header[..SIGNATURE.len()] != SIGNATURE {
            return Err(StreamError::MalformedPeek(
                "they do not begin as a binary COPY",
            ));
        }
        if header[SIGNATURE.len()..].iter().any(|&byte| byte != 0) {
            return Err(StreamError::MalformedPeek(
                "they use an extension of the format",
            ));
        }
        bytes.advance(HEADER_BYTES);
        self.place = Place::Rows;
        Ok(true)
    }
}

/// The position in front of the data, if one is there.
fn position(bytes: &[u8]) -> Result<Lsn, StreamError> {
    match bytes.split_first_chunk::<4>() {
        None => Ok(Lsn::ZERO),
        Some((length, position)) if *length == 8_i32.to_be_bytes() => {
            let position = position.try_into().expect("eight bytes");
            Ok(Lsn::new(u64::from_be_bytes(position)))
        }
        Some(_) => Err(StreamError::MalformedPeek("a position is not one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use proptest::prelude::*;

    fn copy_of(values: &[Vec<u8>]) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(SIGNATURE);
        out.put_u64(0);
        for value in values {
            out.put_i16(1);
            out.put_u32(u32::try_from(value.len()).expect("short"));
            out.put_slice(value);
        }
        out.put_i16(-1);
        out.freeze()
    }

    proptest! {
        #[test]
        fn rows_come_out_wherever_the_frames_were_cut(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
            piece in 1_usize..60,
        ) {
            let mut tuples = CopyTuples::new(Columns::Data);
            let mut seen = Vec::new();
            let all = copy_of(&values);
            for frame in all.chunks(piece) {
                tuples.push(Bytes::copy_from_slice(frame), |_, value| seen.push(value.to_vec())).expect("well-formed");
            }
            prop_assert!(tuples.finish().is_ok());
            prop_assert_eq!(seen, values);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut tuples = CopyTuples::new(Columns::Data);
            let mut bytes = copy_of(&[])[..HEADER_BYTES].to_vec();
            bytes.extend(noise);
            drop(tuples.push(bytes.into(), |_, _| {}));
        }
    }

    #[test]
    fn what_ends_early_is_an_error() {
        let all = copy_of(&[vec![1, 2, 3]]);
        for cut in 0..all.len() {
            let mut tuples = CopyTuples::new(Columns::Data);
            tuples.push(all.slice(..cut), |_, _| {}).expect("so far");
            assert!(tuples.finish().is_err(), "{cut}");
        }
    }
}
