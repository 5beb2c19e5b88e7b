//! The transactions that are streamed while they run, all of them, within one bound of
//! memory: when it is passed, the largest goes to a file.

use super::stash::{Records, Stash};
use crate::error::StreamError;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;

/// Running transactions by top-level xid.
pub(crate) struct StreamedTransactions {
    folder: PathBuf,
    limit_bytes: usize,
    held: HashMap<u32, Streamed>,
    memory_bytes: usize,
}

#[derive(Default)]
struct Streamed {
    stash: Stash,
    /// Subtransactions that were rolled back.
    aborted: HashSet<u32>,
}

/// A transaction that has committed and can be read.
pub(crate) struct Finished {
    pub(crate) records: Records,
    pub(crate) aborted: HashSet<u32>,
}

impl StreamedTransactions {
    pub(crate) fn new(folder: PathBuf, limit_bytes: usize) -> Self {
        StreamedTransactions {
            folder,
            limit_bytes,
            held: HashMap::new(),
            memory_bytes: 0,
        }
    }

    /// Memory held for all of them.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What stands in temporary files.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.held.values().map(|held| held.stash.file_bytes()).sum()
    }

    pub(crate) fn count(&self) -> usize {
        self.held.len()
    }

    /// A block of a transaction begins.
    pub(crate) fn start(&mut self, xid: u32, first: bool) -> Result<(), StreamError> {
        if first == self.held.contains_key(&xid) {
            let which = if first { "first" } else { "further" };
            return Err(StreamError::OutOfOrder(format!(
                "a {which} block of transaction {xid} while {} of it are known",
                if first { "others" } else { "none" }
            )));
        }
        self.held.entry(xid).or_default();
        Ok(())
    }

    /// Keeps a change of a running transaction.
    pub(crate) fn append(
        &mut self,
        xid: u32,
        subxid: u32,
        arrival: u64,
        message: &[u8],
    ) -> Result<(), StreamError> {
        let Some(streamed) = self.held.get_mut(&xid) else {
            return Err(StreamError::OutOfOrder(format!(
                "a change of transaction {xid}, which has not begun"
            )));
        };
        let before = streamed.stash.memory_bytes();
        streamed
            .stash
            .append(subxid, arrival, message)
            .map_err(|cause| {
                failed(
                    &self.folder,
                    "writing the changes of a running transaction",
                    cause,
                )
            })?;
        self.memory_bytes = self.memory_bytes - before + streamed.stash.memory_bytes();
        while self.memory_bytes > self.limit_bytes {
            self.spill_largest()?;
        }
        Ok(())
    }

    fn spill_largest(&mut self) -> Result<(), StreamError> {
        let largest = self
            .held
            .values_mut()
            .max_by_key(|streamed| streamed.stash.memory_bytes())
            .expect("memory is held by a transaction");
        let before = largest.stash.memory_bytes();
        largest.stash.spill(&self.folder).map_err(|cause| {
            failed(
                &self.folder,
                "writing the changes of a running transaction",
                cause,
            )
        })?;
        self.memory_bytes = self.memory_bytes - before + largest.stash.memory_bytes();
        Ok(())
    }

    /// A transaction, or a part of it, was rolled back. One that never sent a change is not
    /// known, and nothing is to be done for it.
    pub(crate) fn abort(&mut self, xid: u32, subxid: u32) {
        if xid == subxid {
            self.forget(xid);
        } else if let Some(streamed) = self.held.get_mut(&xid) {
            streamed.aborted.insert(subxid);
        }
    }

    /// Lets go of a transaction and of its file.
    pub(crate) fn forget(&mut self, xid: u32) {
        if let Some(streamed) = self.held.remove(&xid) {
            self.memory_bytes -= streamed.stash.memory_bytes();
        }
    }

    /// A transaction has committed: hands its changes over.
    pub(crate) fn finish(&mut self, xid: u32) -> Result<Finished, StreamError> {
        let Some(streamed) = self.held.remove(&xid) else {
            return Err(StreamError::OutOfOrder(format!(
                "the commit of streamed transaction {xid}, which has not begun"
            )));
        };
        self.memory_bytes -= streamed.stash.memory_bytes();
        let records = streamed.stash.into_records().map_err(|cause| {
            failed(
                &self.folder,
                "reading the changes of a transaction back",
                cause,
            )
        })?;
        Ok(Finished {
            records,
            aborted: streamed.aborted,
        })
    }

    /// An error of reading back.
    pub(crate) fn unreadable(&self, cause: io::Error) -> StreamError {
        failed(
            &self.folder,
            "reading the changes of a transaction back",
            cause,
        )
    }
}

fn failed(folder: &std::path::Path, doing: &'static str, cause: io::Error) -> StreamError {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StreamError::SpillFull {
            folder: folder.to_owned(),
        },
        _ => StreamError::Spill {
            doing,
            folder: folder.to_owned(),
            cause,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures_and_names_the_folder() {
        let folder = std::path::Path::new("/spill");
        let full = failed(folder, "writing", io::ErrorKind::StorageFull.into());
        assert!(matches!(full, StreamError::SpillFull { .. }));
        assert!(
            full.to_string().contains("no space left in /spill"),
            "{full}"
        );
        let denied = failed(folder, "writing", io::ErrorKind::PermissionDenied.into());
        assert!(matches!(denied, StreamError::Spill { .. }));
    }
}
