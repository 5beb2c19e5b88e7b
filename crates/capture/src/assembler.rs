//! From messages to whole transactions in commit order.
//!
//! An ordinary transaction arrives after its commit and passes through at once. A streamed
//! one (protocol version 2) arrives in blocks while it runs: it is kept raw, and read back
//! bit by bit once its commit arrives. At no time is a whole transaction in memory because
//! of us.
//!
//! A transaction that ended at or before the position to go on from is dropped whole. Its
//! begin tells only where the commit record begins; because records do not overlap and the
//! position is the end of one, "begins before" says the same as "ends at or before". That is
//! checked at the commit.

#[cfg(test)]
mod model_tests;
mod relations;
mod replay;
mod stash;
mod streamed;
#[cfg(test)]
mod tests;

use crate::error::StreamError;
use crate::pgoutput::{self, Framing, Message};
use bytes::Bytes;
use relations::Relations;
use replay::Replay;
use std::path::PathBuf;
use streamed::StreamedTransactions;
use trunkline_changes::{Lsn, StreamEvent, Transaction};

/// Puts transactions together. Feed a message, take events until there is none, feed again.
pub struct Assembler {
    after: Lsn,
    /// How many messages have been fed.
    arrivals: u64,
    relations: Relations,
    streamed: StreamedTransactions,
    place: Place,
    ready: Option<StreamEvent>,
}

/// Where in the stream we are.
enum Place {
    Between,
    Inside(Transaction),
    /// In a transaction that was delivered before.
    Skipping(Transaction),
    /// In a block of a running transaction.
    Block {
        xid: u32,
    },
    /// A streamed transaction has committed and is being read back.
    Replaying(Box<Replay>),
}

impl Assembler {
    /// For transactions that end after `after`. What is streamed and does not fit into
    /// `memory_bytes` goes to files without a name in `spill_folder`.
    pub fn new(after: Lsn, spill_folder: PathBuf, memory_bytes: usize) -> Self {
        Assembler {
            after,
            arrivals: 0,
            relations: Relations::default(),
            streamed: StreamedTransactions::new(spill_folder, memory_bytes),
            place: Place::Between,
            ready: None,
        }
    }

    /// The end of the last transaction that was delivered, or the position begun from.
    pub fn delivered(&self) -> Lsn {
        self.after
    }

    /// Whether no transaction is half delivered.
    pub fn is_between_transactions(&self) -> bool {
        self.ready.is_none() && matches!(self.place, Place::Between | Place::Block { .. })
    }

    /// How many running transactions are kept.
    pub fn running_transactions(&self) -> usize {
        self.streamed.count()
    }

    /// Memory held for running transactions and for the one being read back.
    pub fn memory_bytes(&self) -> usize {
        let replay_bytes = match &self.place {
            Place::Replaying(replay) => replay.memory_bytes(),
            _ => 0,
        };
        self.streamed.memory_bytes() + replay_bytes
    }

    /// Bytes of running transactions in temporary files.
    pub fn file_bytes(&self) -> u64 {
        self.streamed.file_bytes()
    }

    /// Takes the next message of the stream.
    ///
    /// # Panics
    /// When [`Assembler::next_event`] has not returned `None` since the last message.
    pub fn feed(&mut self, message: Bytes) -> Result<(), StreamError> {
        assert!(
            self.ready.is_none() && !matches!(self.place, Place::Replaying(_)),
            "all events are taken before the next message"
        );
        self.arrivals += 1;
        if let Place::Block { xid } = self.place {
            return self.in_block(xid, message);
        }
        // Changes of a transaction that is dropped need not be read at all.
        if matches!(self.place, Place::Skipping(_))
            && let Some(b'I' | b'U' | b'D' | b'T' | b'M' | b'Y' | b'O') = message.first()
        {
            return Ok(());
        }
        match pgoutput::decode(message, Framing::Plain)? {
            Message::Relation(relation) => self.relations.describe(relation, self.arrivals),
            // A message of no transaction: nothing that commits, so nothing to apply.
            Message::Emitted {
                transactional: false,
                ..
            }
            | Message::Type { .. }
            | Message::Origin { .. } => {}
            message @ (Message::Begin { .. } | Message::Commit { .. }) => {
                self.boundary(&message)?;
            }
            message @ (Message::StreamStart { .. }
            | Message::StreamStop
            | Message::StreamCommit { .. }
            | Message::StreamAbort { .. }) => self.stream_boundary(&message)?,
            change => self.change(change)?,
        }
        Ok(())
    }

    /// The next event, or `None` when a message is needed first.
    pub fn next_event(&mut self) -> Result<Option<StreamEvent>, StreamError> {
        if let Some(event) = self.ready.take() {
            return Ok(Some(event));
        }
        let Place::Replaying(replay) = &mut self.place else {
            return Ok(None);
        };
        if let Some(event) = replay.next_event(&self.streamed)? {
            return Ok(Some(event));
        }
        let Place::Replaying(replay) = std::mem::replace(&mut self.place, Place::Between) else {
            unreachable!("looked at above");
        };
        let (relations, transaction, end_lsn) = replay.finish();
        self.relations.merge(relations);
        self.after = end_lsn;
        Ok(Some(StreamEvent::Commit {
            transaction,
            end_lsn,
        }))
    }

    fn change(&mut self, message: Message) -> Result<(), StreamError> {
        if !matches!(self.place, Place::Inside(_)) {
            return Err(StreamError::OutOfOrder(
                "a change outside of a transaction".into(),
            ));
        }
        self.ready = self.relations.change(message)?.map(StreamEvent::Change);
        Ok(())
    }

    fn boundary(&mut self, message: &Message) -> Result<(), StreamError> {
        match (&self.place, message) {
            (
                Place::Between,
                &Message::Begin {
                    commit_lsn,
                    committed_at_micros,
                    xid,
                },
            ) => {
                let transaction = Transaction {
                    xid,
                    commit_lsn,
                    committed_at_micros,
                };
                if commit_lsn < self.after {
                    self.place = Place::Skipping(transaction);
                } else {
                    self.ready = Some(StreamEvent::Begin(transaction));
                    self.place = Place::Inside(transaction);
                }
            }
            (
                &(Place::Inside(transaction) | Place::Skipping(transaction)),
                &Message::Commit {
                    commit_lsn,
                    end_lsn,
                    ..
                },
            ) => {
                if commit_lsn != transaction.commit_lsn || end_lsn <= commit_lsn {
                    return Err(StreamError::OutOfOrder(format!(
                        "the commit at {commit_lsn} to {end_lsn} follows the begin of {}",
                        transaction.commit_lsn
                    )));
                }
                if matches!(self.place, Place::Inside(_)) {
                    self.ready = Some(StreamEvent::Commit {
                        transaction,
                        end_lsn,
                    });
                    self.after = end_lsn;
                } else {
                    self.must_be_before(commit_lsn, end_lsn)?;
                }
                self.place = Place::Between;
            }
            (_, Message::Begin { .. }) => {
                return Err(StreamError::OutOfOrder(
                    "a begin inside of a transaction".into(),
                ));
            }
            _ => return Err(StreamError::OutOfOrder("a commit without a begin".into())),
        }
        Ok(())
    }

    /// A transaction that began to commit before the position must also end by it.
    fn must_be_before(&self, commit_lsn: Lsn, end_lsn: Lsn) -> Result<(), StreamError> {
        if end_lsn <= self.after {
            return Ok(());
        }
        Err(StreamError::PositionInsideCommit {
            after: self.after,
            commit_lsn,
            end_lsn,
        })
    }

    fn in_block(&mut self, xid: u32, message: Bytes) -> Result<(), StreamError> {
        match message.first() {
            Some(b'R' | b'I' | b'U' | b'D' | b'T' | b'M') => {
                let subxid = pgoutput::streamed_xid(&message)?;
                self.streamed.append(xid, subxid, self.arrivals, &message)
            }
            _ => match pgoutput::decode(message, Framing::Streamed)? {
                Message::Type { .. } | Message::Origin { .. } => Ok(()),
                Message::StreamStop => {
                    self.place = Place::Between;
                    Ok(())
                }
                _ => Err(StreamError::OutOfOrder(format!(
                    "the boundary of another transaction inside of a block of {xid}"
                ))),
            },
        }
    }

    fn stream_boundary(&mut self, message: &Message) -> Result<(), StreamError> {
        if !matches!(self.place, Place::Between) {
            return Err(StreamError::OutOfOrder(
                "a streamed block inside of a transaction".into(),
            ));
        }
        match *message {
            Message::StreamStart { xid, first } => {
                self.streamed.start(xid, first)?;
                self.place = Place::Block { xid };
            }
            Message::StreamAbort { xid, subxid } => self.streamed.abort(xid, subxid),
            Message::StreamCommit {
                xid,
                commit_lsn,
                end_lsn,
                committed_at_micros,
            } => {
                if commit_lsn < self.after {
                    self.streamed.forget(xid);
                    return self.must_be_before(commit_lsn, end_lsn);
                }
                let transaction = Transaction {
                    xid,
                    commit_lsn,
                    committed_at_micros,
                };
                let finished = self.streamed.finish(xid)?;
                self.place =
                    Place::Replaying(Box::new(Replay::new(transaction, end_lsn, finished)));
                self.ready = Some(StreamEvent::Begin(transaction));
            }
            _ => {
                return Err(StreamError::OutOfOrder(
                    "the end of a block that has not begun".into(),
                ));
            }
        }
        Ok(())
    }
}
