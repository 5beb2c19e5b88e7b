//! The two readers of a slot, with one way to take from them: pulls that are bounded by
//! events and bytes.

mod advancing;
mod batch;
mod copy_tuples;
mod live;
mod pacing;
mod peeking;
mod puller;
mod queue;
mod reading;
mod receiver;

pub use batch::BatchReader;
pub use live::{LiveOptions, LiveReader};

use crate::error::{CaptureError, StreamError};
use crate::mode::Mode;
use crate::test_decoding::{Lookup, LookupError, StreamedTable, Translator};
use puller::Text;
use trunkline_changes::{Lsn, Side, StreamEvent, quote_ident};
use trunkline_postgres::{Conninfo, Fault, PgError, ServerVersion};

/// Where changes come from.
#[derive(Clone)]
pub struct Feed {
    /// The server and database.
    pub conninfo: Conninfo,
    /// Which side it is, for errors. The way back reads from the target.
    pub side: Side,
    /// The slot.
    pub slot: String,
    /// What decodes the log there.
    pub decoder: Decoder,
}

/// An output plugin, with what it is told, or what we have to know instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// The server's own.
    Pgoutput {
        /// The publications.
        publications: Vec<String>,
    },
    /// The one that needs no publication.
    TestDecoding {
        /// The tables whose changes are wanted.
        tables: Vec<StreamedTable>,
    },
}

impl Decoder {
    /// The plugin's options for a stream (`Mode::Live`) or for a peek by SQL.
    pub(crate) fn options(
        &self,
        mode: Mode,
        version: ServerVersion,
    ) -> Vec<(&'static str, String)> {
        let publications = match self {
            Decoder::Pgoutput { publications } => publications,
            // Empty transactions are printed, too: servers before 17 leave the BEGIN of a
            // transaction with nothing but messages out otherwise.
            Decoder::TestDecoding { .. } => {
                return vec![
                    ("include-xids", "on".to_owned()),
                    ("include-timestamp", "on".to_owned()),
                ];
            }
        };
        let quoted: Vec<String> = publications.iter().map(|name| quote_ident(name)).collect();
        let mut options = vec![("publication_names", quoted.join(","))];
        // Streaming while transactions run, and messages, come with 14. Protocol 1 for a
        // peek: nothing runs any more there.
        let newer = version.major() >= 14;
        let protocol = if newer && mode == Mode::Live {
            "2"
        } else {
            "1"
        };
        options.push(("proto_version", protocol.to_owned()));
        if newer {
            options.push(("messages", "true".to_owned()));
        }
        if newer && mode == Mode::Live {
            options.push(("streaming", "on".to_owned()));
        }
        options
    }
}

impl Feed {
    /// What puts the plugin's output into the assembler's messages, where that is needed.
    async fn text(&self, after: Lsn) -> Result<Option<Text>, CaptureError> {
        let Decoder::TestDecoding { tables } = &self.decoder else {
            return Ok(None);
        };
        match Lookup::open(self.conninfo.clone(), tables).await {
            Ok((lookup, known)) => Ok(Some(Text {
                translator: Translator::new(after, known),
                lookup,
            })),
            Err(LookupError::Stream(cause)) => Err(self.stream_error(cause)),
            Err(LookupError::Server(cause)) => {
                Err(self.fault("reading the tables of the stream", cause).into())
            }
        }
    }

    pub(crate) fn fault(&self, doing: &str, cause: PgError) -> Fault {
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
