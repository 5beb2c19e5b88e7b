//! A streamed transaction after its commit, read back one message at a time. What its
//! rolled back subtransactions did is left out, their descriptions of tables too: the
//! server sends those again after a rollback.

use super::relations::Relations;
use super::stash::Records;
use super::streamed::{Finished, StreamedTransactions};
use crate::error::StreamError;
use crate::pgoutput::{self, Framing, Message};
use std::collections::HashSet;
use trunkline_changes::{Lsn, StreamEvent, Transaction};

/// The transaction that is read back.
pub(crate) struct Replay {
    transaction: Transaction,
    end_lsn: Lsn,
    records: Records,
    aborted: HashSet<u32>,
    /// Tables as this transaction described them: never those of others, because a server
    /// describes a table anew in every streamed transaction.
    relations: Relations,
}

impl Replay {
    pub(crate) fn new(transaction: Transaction, end_lsn: Lsn, finished: Finished) -> Self {
        Replay {
            transaction,
            end_lsn,
            records: finished.records,
            aborted: finished.aborted,
            relations: Relations::default(),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.records.memory_bytes()
    }

    /// The next change, or `None` at the end.
    pub(crate) fn next_event(
        &mut self,
        streamed: &StreamedTransactions,
    ) -> Result<Option<StreamEvent>, StreamError> {
        while let Some(record) = self
            .records
            .next()
            .map_err(|cause| streamed.unreadable(cause))?
        {
            if self.aborted.contains(&record.subxid) {
                continue;
            }
            match pgoutput::decode(record.message, Framing::Streamed)? {
                Message::Relation(relation) => self.relations.describe(relation, record.arrival),
                message => {
                    if let Some(change) = self.relations.change(message)? {
                        return Ok(Some(StreamEvent::Change(change)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// What it described, and what its commit says.
    pub(crate) fn finish(self) -> (Relations, Transaction, Lsn) {
        (self.relations, self.transaction, self.end_lsn)
    }
}
