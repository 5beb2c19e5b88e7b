//! A batch that the server sends or has sent, and how large the next one may be.

use super::puller::Puller;
use crate::error::StreamError;
use crate::limits::{PEEK_BYTES, PEEK_MESSAGES_FIRST, PEEK_MESSAGES_LEAST};
use tokio::task::JoinHandle;
use trunkline_changes::Lsn;
use trunkline_postgres::{Canceller, Session};

/// A peek that is taken from.
pub(super) struct Peek {
    pub(super) puller: Puller,
    pub(super) reading: Reading,
}

/// What the server does for a peek, or has done.
pub(super) struct Reading {
    /// `None` once its end was seen and the session taken back.
    pub(super) task: Option<JoinHandle<Result<Session, StreamError>>>,
    pub(super) canceller: Canceller,
    /// The most messages that the caller wanted.
    pub(super) wanted: u32,
    /// How many the server was asked for.
    pub(super) asked: u32,
    pub(super) complete_to: Option<Lsn>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// What messages weighed so far.
#[derive(Default)]
pub(super) struct Messages {
    bytes_each: Option<u64>,
}

impl Messages {
    /// Looks at what was taken of a batch.
    pub(super) fn weigh(&mut self, puller: &Puller) {
        if let Some(each) = puller.bytes().checked_div(puller.messages()) {
            self.bytes_each = Some(each.max(1));
        }
    }

    /// How many of them the server may gather, of the most that are wanted.
    pub(super) fn of(&self, wanted: u32) -> u32 {
        let fit = match self.bytes_each {
            Some(each) => u32::try_from(PEEK_BYTES / each).unwrap_or(u32::MAX),
            None => PEEK_MESSAGES_FIRST,
        };
        fit.max(PEEK_MESSAGES_LEAST).min(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::Messages;
    use crate::limits::{PEEK_BYTES, PEEK_MESSAGES_FIRST, PEEK_MESSAGES_LEAST};

    #[test]
    fn the_server_gathers_fewer_messages_where_they_are_large() {
        let of = |bytes_each| Messages { bytes_each }.of(400_000);
        assert_eq!(of(None), PEEK_MESSAGES_FIRST);
        assert_eq!(of(Some(1)), 400_000, "never more than are wanted");
        assert_eq!(u64::from(of(Some(10_000))), PEEK_BYTES / 10_000);
        assert_eq!(of(Some(u64::MAX)), PEEK_MESSAGES_LEAST);
        assert_eq!(Messages { bytes_each: None }.of(10), 10);
    }
}
