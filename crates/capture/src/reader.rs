//! The two readers of a slot, with one way to take from them: pulls that are bounded by
//! events and bytes.

mod batch;
mod copy_tuples;
mod live;
mod pacing;
mod puller;
mod queue;
mod receiver;

pub use batch::BatchReader;
pub use live::{LiveOptions, LiveReader};

use crate::error::{CaptureError, StreamError};
use trunkline_changes::{Lsn, Side, StreamEvent, quote_ident};
use trunkline_postgres::{Conninfo, Fault, PgError};

/// Where changes come from.
#[derive(Clone)]
pub struct Feed {
    /// The server and database.
    pub conninfo: Conninfo,
    /// Which side it is, for errors. The way back reads from the target.
    pub side: Side,
    /// The slot.
    pub slot: String,
    /// The publications.
    pub publications: Vec<String>,
}

impl Feed {
    /// The publications as the plugin's option takes them.
    fn publication_names(&self) -> String {
        let quoted: Vec<String> = self
            .publications
            .iter()
            .map(|name| quote_ident(name))
            .collect();
        quoted.join(",")
    }

    fn fault(&self, doing: &str, cause: PgError) -> Fault {
        Fault {
            side: self.side,
            doing: format!("{doing} (slot {})", self.slot),
            cause,
        }
    }

    fn stream_error(&self, cause: StreamError) -> CaptureError {
        CaptureError::Stream {
            side: self.side,
            cause,
        }
    }
}

/// How far the server has read its log for us with nothing left to deliver. It is no commit,
/// and proves nothing about any barrier. Once everything that was pulled before it is durable
/// on the other side, it may be confirmed, so that an idle database does not keep log; record
/// it there first, because [`crate::slot::examine`] refuses a slot that stands further than
/// what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadPosition(Lsn);

impl ReadPosition {
    /// The position between two records, to record and to go on after.
    pub fn lsn(self) -> Lsn {
        self.0
    }
}

/// What a pull brought.
#[derive(Debug)]
pub enum Pulled {
    /// Events in order; a transaction may go on in the next pull.
    Events(Vec<StreamEvent>),
    /// Nothing came within the wait.
    Idle {
        /// How far the server has read, when no transaction is half delivered.
        received: Option<ReadPosition>,
    },
    /// The peek is delivered.
    EndOfBatch {
        /// The changes and boundaries that the peek held, dropped ones included.
        messages: u64,
        /// How far the peek is known to be complete: `None` when it was cut at its bound of
        /// changes, or the log was not flushed so far.
        covered: Option<ReadPosition>,
    },
}
