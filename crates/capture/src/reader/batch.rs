//! Batch mode: the slot is peeked by SQL, a bounded batch at a time, and advanced only to
//! what the caller says is durable. The server gathers a peek's result before it sends it,
//! so the bound of changes is a bound on its temporary space; a transaction is never cut,
//! so one bigger than that is better left to live mode.

use super::copy_tuples::{Columns, CopyTuples};
use super::puller::{Broken, Puller, Step, Text};
use super::queue::{Abandoned, Bundler, Feeder, queue};
use super::{Decoder, Feed, Pulled, ReadPosition};
use crate::assembler::Assembler;
use crate::busy_slot::BusySlot;
use crate::error::{CaptureError, StreamError};
use crate::limits::{SLOT_BUSY_DEADLINE, STREAMED_MEMORY_BYTES};
use crate::mode::Mode;
use std::fmt::Write as _;
use std::path::PathBuf;
use tokio::task::JoinHandle;
use trunkline_changes::{Lsn, quote_literal};
use trunkline_postgres::{Canceller, PgError, ServerVersion, Session};

/// Reads a slot by SQL.
pub struct BatchReader {
    feed: Feed,
    /// The connection, while no peek runs and it is whole.
    session: Option<Session>,
    peek: Option<Peek>,
    /// What puts lines into messages, while no peek runs.
    text: Option<Text>,
    spill_folder: PathBuf,
    /// The end of some record, seen at an earlier peek: flushed by now in most cases.
    boundary: Option<Lsn>,
}

/// A peek that runs or has ended.
struct Peek {
    puller: Puller,
    task: JoinHandle<Result<Session, StreamError>>,
    canceller: Canceller,
    max_changes: u32,
    complete_to: Option<Lsn>,
}

impl Drop for Peek {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl BatchReader {
    /// Connects.
    pub async fn open(feed: Feed) -> Result<Self, CaptureError> {
        let mut reader = BatchReader {
            feed,
            session: None,
            peek: None,
            text: None,
            spill_folder: std::env::temp_dir(),
            boundary: None,
        };
        let session = reader.session().await?;
        reader.session = Some(session);
        Ok(reader)
    }

    /// Where transactions that do not fit into memory are kept, instead of the folder for
    /// temporary files. Only `test_decoding` has such here.
    #[must_use]
    pub fn spilling_to(mut self, folder: PathBuf) -> Self {
        self.spill_folder = folder;
        self
    }

    /// The session, made anew when there is none or it is broken.
    async fn session(&mut self) -> Result<Session, CaptureError> {
        if let Some(session) = self.session.take().filter(|session| !session.is_broken()) {
            return Ok(session);
        }
        Session::connect(&self.feed.conninfo, "batch")
            .await
            .map_err(|cause| self.feed.fault("connecting", cause).into())
    }

    /// Begins a peek of what committed after `after`, up to `upto` or the end of the log, and
    /// not much more than `max_changes` messages: it ends with a whole transaction. A peek
    /// that was not pulled to its end is given up.
    pub async fn peek(
        &mut self,
        after: Lsn,
        upto: Option<Lsn>,
        max_changes: u32,
    ) -> Result<(), CaptureError> {
        self.abandon().await;
        let max_changes = max_changes.clamp(1, i32::MAX.unsigned_abs());
        let mut session = self.session().await?;
        let complete_to = self
            .boundary(&mut session, upto)
            .await
            .map_err(|cause| self.feed.fault("reading the log's position", cause))?;
        let sql = peek_sql(&self.feed, upto, max_changes, session.version());
        let text = match self.text.take() {
            Some(mut text) => {
                text.translator.restart(after);
                Some(text)
            }
            None => self.feed.text(after).await?,
        };
        let (feeder, drain) = queue();
        let canceller = session.canceller();
        // With pgoutput nothing is streamed while it runs, so nothing is ever spilled.
        let folder = self.spill_folder.clone();
        let assembler = Assembler::new(after, folder, STREAMED_MEMORY_BYTES);
        let columns = match self.feed.decoder {
            Decoder::Pgoutput { .. } => Columns::Data,
            Decoder::TestDecoding { .. } => Columns::PositionAndData,
        };
        self.peek = Some(Peek {
            puller: Puller::new(drain, text, assembler),
            task: tokio::spawn(read_peek(session, sql, columns, feeder)),
            canceller,
            max_changes,
            complete_to,
        });
        Ok(())
    }

    /// The end of a record up to which the log is flushed, so that a peek which is not cut
    /// holds everything before it.
    async fn boundary(
        &mut self,
        session: &mut Session,
        upto: Option<Lsn>,
    ) -> Result<Option<Lsn>, PgError> {
        let row = session
            .query_one(include_str!("../../sql/record_boundary.sql"), &[])
            .await?;
        let (inserted, flushed): (Lsn, Lsn) = (row.get(0)?, row.get(1)?);
        let limit = upto.map_or(flushed, |upto| upto.min(flushed));
        let known = [Some(inserted), self.boundary.replace(inserted)];
        Ok(known
            .into_iter()
            .flatten()
            .find(|&boundary| boundary <= limit))
    }

    /// What the peek brought. Cancel-safe.
    pub async fn pull(&mut self) -> Result<Pulled, CaptureError> {
        let Some(peek) = &mut self.peek else {
            return Ok(Pulled::EndOfBatch {
                messages: 0,
                covered: None,
            });
        };
        match peek.puller.pull(None).await {
            Ok(Step::Events(events)) => Ok(Pulled::Events(events)),
            Ok(Step::Ended | Step::TimedOut) => self.end_peek().await,
            Err(Broken::Connection(cause)) => {
                self.peek = None;
                Err(self.feed.fault("reading a batch of changes", cause).into())
            }
            Err(Broken::Stream(cause)) => {
                self.abandon().await;
                Err(self.feed.stream_error(cause))
            }
        }
    }

    async fn end_peek(&mut self) -> Result<Pulled, CaptureError> {
        let side = self.feed.side;
        let Some(mut peek) = self.peek.take() else {
            return Err(CaptureError::Ended { side });
        };
        match (&mut peek.task).await {
            Ok(Ok(session)) => self.session = Some(session),
            Ok(Err(cause)) => return Err(self.feed.stream_error(cause)),
            Err(_) => return Err(CaptureError::Ended { side }),
        }
        if !peek.puller.is_between_transactions() {
            let problem = "a batch ended inside of a transaction".to_owned();
            return Err(self.feed.stream_error(StreamError::OutOfOrder(problem)));
        }
        self.text = peek.puller.take_text();
        let messages = peek.puller.messages();
        // The server stops once it has as many as asked for: fewer, and it saw everything.
        let whole = messages < u64::from(peek.max_changes);
        Ok(Pulled::EndOfBatch {
            messages,
            covered: peek.complete_to.filter(|_| whole).map(ReadPosition),
        })
    }

    /// Gives a running peek up: the connection goes, and the server is told to stop.
    async fn abandon(&mut self) {
        let Some(mut peek) = self.peek.take() else {
            return;
        };
        self.text = peek.puller.take_text();
        peek.task.abort();
        // Ended already: the session can be kept. It answers at once after an abort.
        if let Ok(Ok(session)) = (&mut peek.task).await {
            self.session = Some(session);
            return;
        }
        if let Err(error) = peek.canceller.cancel().await {
            tracing::debug!(%error, "a given-up batch could not be cancelled");
        }
    }

    /// Moves the slot to what is durable on the other side: the end of a commit. Gives where
    /// it stands, which is never beyond. Not while a peek runs: that is given up.
    pub async fn advance(&mut self, durable: Lsn) -> Result<Lsn, CaptureError> {
        self.abandon().await;
        let mut session = self.session().await?;
        let mut busy = BusySlot::new(SLOT_BUSY_DEADLINE);
        let reached: Option<Lsn> = loop {
            let sql = include_str!("../../sql/advance.sql");
            let answer = session.query_one(sql, &[&self.feed.slot, &durable]).await;
            match answer.and_then(|row| row.get(0)) {
                Ok(reached) => break reached,
                Err(cause) => match busy.pause(&cause) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(self.feed.fault("advancing the slot", cause).into()),
                },
            }
        };
        self.session = Some(session);
        match reached {
            Some(reached) if reached > durable => Err(CaptureError::Overshot {
                side: self.feed.side,
                slot: self.feed.slot.clone(),
                asked: durable,
                reached,
            }),
            reached => Ok(reached.unwrap_or(durable)),
        }
    }

    /// As [`BatchReader::advance`], for a position with nothing before it that is not durable.
    pub async fn advance_read(&mut self, position: ReadPosition) -> Result<Lsn, CaptureError> {
        self.advance(position.lsn()).await
    }

    /// Ends the connection; a peek that runs is cancelled.
    pub async fn stop(mut self) {
        self.abandon().await;
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        if let Some(text) = self.text.take() {
            text.lookup.close().await;
        }
    }
}

/// `COPY` takes no parameters: everything is quoted here.
fn peek_sql(feed: &Feed, upto: Option<Lsn>, max_changes: u32, version: ServerVersion) -> String {
    let (columns, function) = match feed.decoder {
        Decoder::Pgoutput { .. } => ("data", "pg_logical_slot_peek_binary_changes"),
        Decoder::TestDecoding { .. } => ("lsn, data", "pg_logical_slot_peek_changes"),
    };
    let slot = quote_literal(&feed.slot);
    let mut sql = format!("COPY (SELECT {columns} FROM pg_catalog.{function}({slot}, ");
    // Writing to a String cannot fail.
    let _ = match upto {
        Some(upto) => write!(sql, "'{upto}'::pg_catalog.pg_lsn"),
        None => write!(sql, "NULL"),
    };
    let _ = write!(sql, ", {max_changes}");
    for (name, value) in feed.decoder.options(Mode::Batch, version) {
        let (name, value) = (quote_literal(name), quote_literal(&value));
        let _ = write!(sql, ", {name}, {value}");
    }
    sql.push_str(")) TO STDOUT (FORMAT binary)");
    sql
}

/// Runs a peek into the queue, and gives the session back when it is whole. Failures of the
/// server go through the queue, behind what came before them.
async fn read_peek(
    mut session: Session,
    sql: String,
    columns: Columns,
    feeder: Feeder,
) -> Result<Session, StreamError> {
    let mut busy = BusySlot::new(SLOT_BUSY_DEADLINE);
    let mut tuples = CopyTuples::new(columns);
    loop {
        match copy_into(&mut session, &sql, &feeder, &mut tuples).await {
            Ok(()) | Err(Stopped::Abandoned) => return Ok(session),
            Err(Stopped::Malformed(error)) => return Err(error),
            Err(Stopped::Server(error)) => {
                let Some(pause) = busy.pause(&error) else {
                    feeder.fail(error).await;
                    return Ok(session);
                };
                tokio::time::sleep(pause).await;
            }
        }
    }
}

enum Stopped {
    Server(PgError),
    Malformed(StreamError),
    Abandoned,
}

async fn copy_into(
    session: &mut Session,
    sql: &str,
    feeder: &Feeder,
    tuples: &mut CopyTuples,
) -> Result<(), Stopped> {
    let mut bundler = Bundler::default();
    let mut copy = session.copy_out(sql).await.map_err(Stopped::Server)?;
    while let Some(frame) = copy.next().await.map_err(Stopped::Server)? {
        tuples
            .push(frame, |position, message| bundler.push(position, message))
            .map_err(Stopped::Malformed)?;
        if bundler.bundle().is_full() {
            hand_over(feeder, &mut bundler).await?;
        }
    }
    tuples.finish().map_err(Stopped::Malformed)?;
    hand_over(feeder, &mut bundler).await
}

async fn hand_over(feeder: &Feeder, bundler: &mut Bundler) -> Result<(), Stopped> {
    if bundler.bundle().is_empty() {
        return Ok(());
    }
    let handed = feeder.clone().hand_over(bundler.take()).await;
    handed.map_err(|Abandoned| Stopped::Abandoned)
}
