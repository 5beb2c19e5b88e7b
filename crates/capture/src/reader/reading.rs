//! A batch that the server sends or has sent, and how large the next one may be.

use super::puller::Puller;
use crate::error::StreamError;
use crate::limits::{PEEK_BYTES, PEEK_GROWTH, PEEK_MESSAGES_FIRST, PEEK_MESSAGES_LEAST};
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
    pub(super) task: Option<JoinHandle<Result<Read, StreamError>>>,
    /// Whether the server was seen to send everything.
    pub(super) is_whole: bool,
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

/// A batch that was read, or is not read on.
pub(super) struct Read {
    pub(super) session: Session,
    pub(super) weight: Weight,
    /// Whether the server said that this is all.
    pub(super) is_whole: bool,
}

/// What the server sent of a batch. It is counted where it is received: all of it may be there
/// before any of it is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    messages: u64,
    bytes: u64,
}

impl Weight {
    pub(super) fn add(&mut self, message: &[u8]) {
        self.messages += 1;
        self.bytes += message.len() as u64;
    }
}

/// What messages weighed in the last two batches, and how many were asked for at last.
#[derive(Default)]
pub(super) struct Messages {
    bytes_each: [Option<u64>; 2],
    asked: Option<u32>,
}

impl Messages {
    /// Looks at what came with a batch, once for each.
    pub(super) fn weigh(&mut self, weight: Weight) {
        if let Some(each) = weight.bytes.checked_div(weight.messages) {
            self.bytes_each = [self.bytes_each[1], Some(each.max(1))];
        }
    }

    /// How many of them the server may gather, of the most that are wanted: as many as fit by
    /// what they weighed, and not many more than before, as the next ones may be larger.
    pub(super) fn ask(&mut self, wanted: u32) -> u32 {
        let fit = match self.bytes_each.into_iter().flatten().max() {
            Some(each) => u32::try_from(PEEK_BYTES / each).unwrap_or(u32::MAX),
            None => PEEK_MESSAGES_FIRST,
        };
        let most = self.asked.map_or(u32::MAX, |asked| {
            asked.max(PEEK_MESSAGES_LEAST).saturating_mul(PEEK_GROWTH)
        });
        let asked = fit.min(most).max(PEEK_MESSAGES_LEAST).min(wanted);
        self.asked = Some(asked);
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::{Messages, Weight};
    use crate::limits::{PEEK_BYTES, PEEK_GROWTH, PEEK_MESSAGES_FIRST, PEEK_MESSAGES_LEAST};

    #[test]
    fn the_server_gathers_fewer_messages_where_they_are_large() {
        let ask = |bytes_each| {
            let asked = None;
            Messages { bytes_each, asked }.ask(400_000)
        };
        assert_eq!(ask([None, None]), PEEK_MESSAGES_FIRST);
        assert_eq!(ask([None, Some(1)]), 400_000, "never more than are wanted");
        for heavy in [[Some(10_000), Some(60)], [Some(60), Some(10_000)]] {
            assert_eq!(u64::from(ask(heavy)), PEEK_BYTES / 10_000);
        }
        assert_eq!(ask([None, Some(u64::MAX)]), PEEK_MESSAGES_LEAST);
        assert_eq!(Messages::default().ask(10), 10);
    }

    #[test]
    fn what_came_decides_how_many_are_asked_for_next() {
        let mut messages = Messages::default();
        assert_eq!(messages.ask(400_000), PEEK_MESSAGES_FIRST);
        let mut weight = Weight::default();
        for message in [vec![0; 20_000], vec![0; 10_000]] {
            weight.add(&message);
        }
        messages.weigh(weight);
        assert_eq!(u64::from(messages.ask(400_000)), PEEK_BYTES / 15_000);
        messages.weigh(Weight::default());
        assert_eq!(u64::from(messages.ask(400_000)), PEEK_BYTES / 15_000);
    }

    #[test]
    fn a_read_grows_step_by_step() {
        let mut messages = Messages {
            bytes_each: [None, Some(u64::MAX)],
            asked: None,
        };
        assert_eq!(messages.ask(400_000), PEEK_MESSAGES_LEAST);
        messages.bytes_each = [Some(1), Some(1)];
        assert_eq!(messages.ask(400_000), PEEK_MESSAGES_LEAST * PEEK_GROWTH);
    }
}
