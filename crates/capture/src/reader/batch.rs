//! Batch mode: the slot is peeked by SQL, a bounded batch at a time, and advanced only to
//! what the caller says is durable. The server gathers a peek's result before it sends it,
//! so the bound of changes is a bound on its temporary space; a transaction is never cut,
//! so one bigger than that is better left to live mode.
//!
//! A slot's changes are read again and again until it is advanced, which has to wait for the
//! other side. So that both sides work at the same time, [`BatchReader::reading_ahead`] reads
//! a temporary copy of the slot and moves that along as it reads: the next batch is decoded
//! while the caller applies this one, and the slot itself stays the caller's.

use super::copy_tuples::Columns;
use super::peeking::{peek_sql, read_peek};
use super::puller::{Broken, Puller, Step, Text};
use super::queue::{Drain, Room, queue};
use super::reading::{Messages, Peek, Read, Reading};
use super::{Decoder, Feed, Pulled, ReadPosition};
use crate::assembler::Assembler;
use crate::error::{CaptureError, StreamError};
use crate::limits::{DECODING_MEMORY_FROM, PEEK_QUEUE_BYTES, STREAMED_MEMORY_BYTES};
use std::path::PathBuf;
use tokio::task::JoinHandle;
use trunkline_changes::Lsn;
use trunkline_postgres::{PgError, Session};

/// Reads a slot by SQL.
pub struct BatchReader {
    pub(super) feed: Feed,
    /// The connection, while no peek runs and it is whole.
    pub(super) session: Option<Session>,
    peek: Option<Peek>,
    pub(super) ahead: Option<Ahead>,
    /// What puts lines into messages, while no peek runs.
    text: Option<Text>,
    spill_folder: PathBuf,
    messages: Messages,
    /// What peeks that follow on each other may hold.
    room: Room,
    /// The end of some record, seen at an earlier peek: flushed by now in most cases.
    boundary: Option<Lsn>,
}

/// What reading ahead needs.
#[derive(Default)]
pub(super) struct Ahead {
    /// The temporary slot, which goes with the session.
    copy: Option<String>,
    /// The next batch, already being read.
    next: Option<(Drain, Reading)>,
    /// Moves the slot itself while the other session reads.
    pub(super) mover: Option<Session>,
}

impl BatchReader {
    /// Connects.
    pub async fn open(feed: Feed) -> Result<Self, CaptureError> {
        let mut reader = BatchReader {
            feed,
            session: None,
            peek: None,
            ahead: None,
            text: None,
            spill_folder: std::env::temp_dir(),
            messages: Messages::default(),
            room: Room::new(PEEK_QUEUE_BYTES),
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

    /// Reads the next batch while the caller is at this one, where the server lets the slot be
    /// copied; if not, for lack of a free slot for example, one batch is read after the other.
    #[must_use]
    pub fn reading_ahead(mut self) -> Self {
        self.ahead = Some(Ahead::default());
        self
    }

    /// Whether it reads a copy of the slot, which moves along by itself. If not, a batch is
    /// the same as the one before it until the slot is advanced.
    pub fn reads_ahead(&self) -> bool {
        let ahead = self.ahead.as_ref();
        ahead.is_some_and(|ahead| ahead.copy.is_some())
    }

    /// The session, made anew when there is none or it is broken.
    pub(super) async fn session(&mut self) -> Result<Session, CaptureError> {
        if let Some(session) = self.session.take().filter(|session| !session.is_broken()) {
            return Ok(session);
        }
        if let Some(ahead) = &mut self.ahead {
            // It went with its session.
            ahead.copy = None;
        }
        self.connect_decoding().await
    }

    pub(super) async fn connect(&self) -> Result<Session, CaptureError> {
        Session::connect(&self.feed.conninfo, "batch")
            .await
            .map_err(|cause| self.feed.fault("connecting", cause).into())
    }

    /// The same for a session that decodes.
    async fn connect_decoding(&self) -> Result<Session, CaptureError> {
        let mut session = self.connect().await?;
        if session.version().major() >= DECODING_MEMORY_FROM {
            let sql = include_str!("../../sql/decoding_memory.sql");
            session
                .batch(sql)
                .await
                .map_err(|cause| self.feed.fault("setting memory for decoding", cause))?;
        }
        Ok(session)
    }

    /// Copies the slot, where that is wanted and not done.
    async fn copy_slot(&mut self, session: &mut Session) {
        let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.copy.is_none()) else {
            return;
        };
        let made = session
            .query_one(include_str!("../../sql/copy_slot.sql"), &[&self.feed.slot])
            .await;
        match made.and_then(|row| row.get(0)) {
            Ok(name) => ahead.copy = Some(name),
            Err(error) => {
                tracing::debug!(%error, "the slot cannot be copied: nothing is read ahead");
                self.ahead = None;
            }
        }
    }

    /// Begins a peek of what committed after `after`, up to `upto` or the end of the log, and
    /// not much more than `max_changes` messages, or fewer where they are large: it ends with
    /// a whole transaction. A peek that was not pulled to its end is given up.
    pub async fn peek(
        &mut self,
        after: Lsn,
        upto: Option<Lsn>,
        max_changes: u32,
    ) -> Result<(), CaptureError> {
        let max_changes = at_least_one(max_changes);
        let (drain, reading) = if let Some(already) = self.read_already(upto, max_changes) {
            already
        } else {
            self.abandon().await;
            self.begin(upto, max_changes).await?
        };
        let text = match self.text.take() {
            Some(mut text) => {
                text.translator.restart(after);
                Some(text)
            }
            None => self.feed.text(after).await?,
        };
        // With pgoutput nothing is streamed while it runs, so nothing is ever spilled.
        let folder = self.spill_folder.clone();
        let assembler = Assembler::new(after, folder, STREAMED_MEMORY_BYTES);
        self.peek = Some(Peek {
            puller: Puller::new(drain, text, assembler),
            reading,
        });
        Ok(())
    }

    /// Lets the server begin the first batch already, before the caller can say from where on
    /// it is wanted: for a [`BatchReader::peek`] of as many. Where nothing can be read ahead,
    /// nothing is begun.
    pub async fn begin_ahead(&mut self, max_changes: u32) -> Result<(), CaptureError> {
        let mut session = self.session().await?;
        self.copy_slot(&mut session).await;
        self.session = Some(session);
        if !self.reads_ahead() {
            return Ok(());
        }
        self.begin_next(at_least_one(max_changes)).await
    }

    async fn begin_next(&mut self, wanted: u32) -> Result<(), CaptureError> {
        let next = self.begin(None, wanted).await?;
        if let Some(ahead) = &mut self.ahead {
            ahead.next = Some(next);
        }
        Ok(())
    }

    /// The batch that was begun ahead, if it is the one that is asked for.
    fn read_already(&mut self, upto: Option<Lsn>, max_changes: u32) -> Option<(Drain, Reading)> {
        let free = self.peek.is_none() && upto.is_none();
        let next = self.ahead.as_mut().filter(|_| free)?.next.take()?;
        // Otherwise it is given up with its session, and what it read is read again.
        (next.1.wanted == max_changes).then_some(next)
    }

    /// Lets the server begin a batch.
    async fn begin(
        &mut self,
        upto: Option<Lsn>,
        max_changes: u32,
    ) -> Result<(Drain, Reading), CaptureError> {
        let mut session = self.session().await?;
        self.copy_slot(&mut session).await;
        let complete_to = self
            .boundary(&mut session, upto)
            .await
            .map_err(|cause| self.feed.fault("reading the log's position", cause))?;
        let copy = self.ahead.as_ref().and_then(|ahead| ahead.copy.as_deref());
        let asked = self.messages.ask(max_changes);
        let sql = peek_sql(&self.feed, copy, upto, asked, session.version());
        let (feeder, drain) = queue(&self.room);
        let columns = match self.feed.decoder {
            Decoder::Pgoutput { .. } => Columns::Data,
            Decoder::TestDecoding { .. } => Columns::PositionAndData,
        };
        let reading = Reading {
            canceller: session.canceller(),
            task: Some(tokio::spawn(read_peek(session, sql, columns, feeder))),
            is_whole: false,
            wanted: max_changes,
            asked,
            complete_to,
        };
        Ok((drain, reading))
    }

    /// Begins the next batch once the server has sent all of this one.
    async fn read_on(&mut self) -> Result<(), CaptureError> {
        let ahead = self.ahead.as_ref();
        let may = ahead.is_some_and(|ahead| ahead.copy.is_some() && ahead.next.is_none());
        let Some(peek) = self.peek.as_mut().filter(|_| may) else {
            return Ok(());
        };
        let wanted = peek.reading.wanted;
        let finished = |task: &mut JoinHandle<_>| task.is_finished();
        let Some(task) = peek.reading.task.take_if(finished) else {
            return Ok(());
        };
        let is_whole = self.take_back(task).await?;
        if let Some(peek) = &mut self.peek {
            peek.reading.is_whole = is_whole;
        }
        if !is_whole {
            // What came of it is pulled, and then why there is no more.
            return Ok(());
        }
        self.begin_next(wanted).await
    }

    /// Takes the session of a reading whose end was seen back. Gives whether the server sent
    /// everything.
    async fn take_back(
        &mut self,
        task: JoinHandle<Result<Read, StreamError>>,
    ) -> Result<bool, CaptureError> {
        let read = match task.await {
            Ok(Ok(read)) => read,
            Ok(Err(cause)) => return Err(self.feed.stream_error(cause)),
            Err(_) => {
                let side = self.feed.side;
                return Err(CaptureError::Ended { side });
            }
        };
        self.messages.weigh(read.weight);
        self.session = Some(read.session);
        Ok(read.is_whole)
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

    /// What the peek brought. Given up half-way, or after an error, nothing is lost but time:
    /// the next peek begins anew where the slot stands.
    pub async fn pull(&mut self) -> Result<Pulled, CaptureError> {
        let pulled = self.pull_next().await;
        if pulled.is_err() {
            self.abandon().await;
            // A copy may have moved past what nobody has.
            self.session = self.session.take().filter(|_| self.ahead.is_none());
        }
        pulled
    }

    async fn pull_next(&mut self) -> Result<Pulled, CaptureError> {
        self.read_on().await?;
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
                Err(self.feed.fault("reading a batch of changes", cause).into())
            }
            Err(Broken::Stream(cause)) => Err(self.feed.stream_error(cause)),
        }
    }

    async fn end_peek(&mut self) -> Result<Pulled, CaptureError> {
        let side = self.feed.side;
        let Some(mut peek) = self.peek.take() else {
            return Err(CaptureError::Ended { side });
        };
        if let Some(task) = peek.reading.task.take() {
            peek.reading.is_whole = self.take_back(task).await?;
        }
        if !peek.reading.is_whole {
            // Whatever hid the reason: what was not read must not be taken for read.
            return Err(CaptureError::Ended { side });
        }
        if !peek.puller.is_between_transactions() {
            let problem = "a batch ended inside of a transaction".to_owned();
            return Err(self.feed.stream_error(StreamError::OutOfOrder(problem)));
        }
        self.text = peek.puller.take_text();
        let messages = peek.puller.messages();
        // The server stops once it has as many as asked for: fewer, and it saw everything.
        let whole = messages < u64::from(peek.reading.asked);
        Ok(Pulled::EndOfBatch {
            messages,
            covered: peek.reading.complete_to.filter(|_| whole).map(ReadPosition),
        })
    }

    /// Gives what is being read up: its connection goes, and the server is told to stop.
    pub(super) async fn abandon(&mut self) {
        let peek = self.peek.take();
        let next = self.ahead.as_mut().and_then(|ahead| ahead.next.take());
        if self.ahead.is_some() && (peek.is_some() || next.is_some()) {
            // The copy has moved past what was not taken: it goes with its session.
            self.session = None;
        }
        let mut readings = Vec::new();
        if let Some(mut peek) = peek {
            self.text = peek.puller.take_text();
            readings.push(peek.reading);
        }
        readings.extend(next.map(|(_, reading)| reading));
        for mut reading in readings {
            let Some(mut task) = reading.task.take() else {
                continue;
            };
            task.abort();
            // Ended already: the session can be kept. It answers at once after an abort.
            if let Ok(Ok(read)) = (&mut task).await {
                self.session = Some(read.session).filter(|_| self.ahead.is_none());
            } else if let Err(error) = reading.canceller.cancel().await {
                tracing::debug!(%error, "a given-up batch could not be cancelled");
            }
        }
    }

    /// Ends the connection; a peek that runs is cancelled.
    pub async fn stop(mut self) {
        self.abandon().await;
        let mover = self.ahead.as_mut().and_then(|ahead| ahead.mover.take());
        for session in [self.session.take(), mover].into_iter().flatten() {
            session.close().await;
        }
        if let Some(text) = self.text.take() {
            text.lookup.close().await;
        }
    }
}

/// What `upto_nchanges` takes.
fn at_least_one(max_changes: u32) -> u32 {
    max_changes.clamp(1, i32::MAX.unsigned_abs())
}
