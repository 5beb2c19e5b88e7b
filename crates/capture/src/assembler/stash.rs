//! The changes of one transaction that still runs: raw messages, each with the
//! subtransaction that made it and its arrival number, in memory pieces and, once told to,
//! in a temporary file that has no name and so goes with its handle, however we end.

use crate::limits::{REPLAY_READ_BYTES, SEGMENT_BYTES, SPILL_WRITE_BYTES};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Length, subtransaction, arrival number.
const HEADER_BYTES: usize = 4 + 4 + 8;

/// What is kept of a running transaction.
#[derive(Default)]
pub(crate) struct Stash {
    file: Option<File>,
    file_bytes: u64,
    full: Vec<Bytes>,
    open: BytesMut,
    memory_bytes: usize,
}

/// One message as it was kept.
pub(crate) struct Record {
    pub(crate) subxid: u32,
    /// The number of the message among all that were received.
    pub(crate) arrival: u64,
    pub(crate) message: Bytes,
}

impl Stash {
    /// Memory that is held, unused ends of pieces included.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What stands in the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Keeps a message. Once there is a file, memory is written to it piece by piece.
    pub(crate) fn append(&mut self, subxid: u32, arrival: u64, message: &[u8]) -> io::Result<()> {
        let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let record_bytes = HEADER_BYTES + message.len();
        if self.open.capacity() - self.open.len() < record_bytes {
            self.close_segment();
            self.open = BytesMut::with_capacity(record_bytes.max(SEGMENT_BYTES));
            self.memory_bytes += self.open.capacity();
        }
        self.open.put_u32(length);
        self.open.put_u32(subxid);
        self.open.put_u64(arrival);
        self.open.put_slice(message);
        match &self.file {
            Some(_) if self.memory_bytes >= SPILL_WRITE_BYTES => self.write_out(),
            _ => Ok(()),
        }
    }

    fn close_segment(&mut self) {
        if !self.open.is_empty() {
            self.full.push(std::mem::take(&mut self.open).freeze());
        }
    }

    /// Moves what is in memory to a file in `folder`.
    pub(crate) fn spill(&mut self, folder: &Path) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile_in(folder)?);
        }
        self.write_out()
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.close_segment();
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        for segment in self.full.drain(..) {
            file.write_all(&segment)?;
            self.file_bytes += segment.len() as u64;
        }
        self.memory_bytes = 0;
        Ok(())
    }

    /// Everything in the order in which it was kept, read bit by bit.
    pub(crate) fn into_records(mut self) -> io::Result<Records> {
        self.close_segment();
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
        }
        Ok(Records {
            memory_bytes: self.memory_bytes,
            file: self.file,
            file_left: self.file_bytes,
            block: BytesMut::new(),
            segments: self.full.into_iter(),
            segment: Bytes::new(),
        })
    }
}

/// Reads a [`Stash`] back.
pub(crate) struct Records {
    memory_bytes: usize,
    file: Option<File>,
    file_left: u64,
    block: BytesMut,
    segments: std::vec::IntoIter<Bytes>,
    segment: Bytes,
}

impl Records {
    /// Memory that is held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes + self.block.capacity()
    }

    /// The next message, or the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record>> {
        if self.file_left > 0 || !self.block.is_empty() {
            return self.next_of_file().map(Some);
        }
        self.file = None;
        while self.segment.is_empty() {
            match self.segments.next() {
                Some(segment) => self.segment = segment,
                None => return Ok(None),
            }
        }
        let (length, subxid, arrival) = header(&mut self.segment);
        let message = self.segment.split_to(length);
        Ok(Some(Record {
            subxid,
            arrival,
            message,
        }))
    }

    fn next_of_file(&mut self) -> io::Result<Record> {
        self.fill(HEADER_BYTES)?;
        let (length, subxid, arrival) = header(&mut self.block);
        self.fill(length)?;
        let message = self.block.split_to(length).freeze();
        Ok(Record {
            subxid,
            arrival,
            message,
        })
    }

    /// Reads until the block holds `wanted` bytes; more when there are, up to one read.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.block.len() >= wanted {
            return Ok(());
        }
        let missing = wanted - self.block.len();
        let left = usize::try_from(self.file_left).unwrap_or(usize::MAX);
        let (Some(file), true) = (&mut self.file, missing <= left) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let held = self.block.len();
        let reading = missing.max(REPLAY_READ_BYTES).min(left);
        self.block.resize(held + reading, 0);
        file.read_exact(&mut self.block[held..])?;
        self.file_left -= reading as u64;
        Ok(())
    }
}

fn header(bytes: &mut impl Buf) -> (usize, u32, u64) {
    let length = bytes.get_u32() as usize;
    (length, bytes.get_u32(), bytes.get_u64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_back(stash: Stash) -> Vec<(u32, u64, Vec<u8>)> {
        let mut records = stash.into_records().expect("readable");
        let mut all = Vec::new();
        while let Some(record) = records.next().expect("whole") {
            all.push((record.subxid, record.arrival, record.message.to_vec()));
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_kept_comes_back_in_order_wherever_it_was_spilled(
            messages in prop::collection::vec((any::<u32>(), 0_usize..200_000), 0..30),
            spill_at in prop::option::of(0_usize..30),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut stash = Stash::default();
            let mut kept = Vec::new();
            for (index, (subxid, length)) in messages.into_iter().enumerate() {
                if spill_at == Some(index) {
                    stash.spill(folder.path()).expect("room");
                    prop_assert_eq!(stash.memory_bytes(), 0);
                }
                let message = vec![u8::try_from(index).expect("few"); length];
                stash.append(subxid, index as u64, &message).expect("room");
                kept.push((subxid, index as u64, message));
            }
            prop_assert_eq!(read_back(stash), kept);
            prop_assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0, "the file has no name");
        }
    }

    #[test]
    fn memory_stays_below_a_write_once_there_is_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stash = Stash::default();
        stash.spill(folder.path()).expect("room");
        for arrival in 0..20_000 {
            stash.append(1, arrival, &[0; 100]).expect("room");
            assert!(stash.memory_bytes() < SPILL_WRITE_BYTES + SEGMENT_BYTES);
        }
        assert!(stash.file_bytes() > 2_000_000);
        assert_eq!(read_back(stash).len(), 20_000);
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stash = Stash::default();
        stash.append(1, 1, &[0; 1000]).expect("room");
        stash.spill(folder.path()).expect("room");
        stash
            .file
            .as_ref()
            .expect("a file")
            .set_len(500)
            .expect("cut");
        assert!(stash.into_records().expect("there").next().is_err());
    }
}
