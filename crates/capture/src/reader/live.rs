//! Live mode: the walsender streams transactions as they commit, and big ones while they
//! run where the server can.

use super::puller::{Broken, Puller, Step};
use super::queue::{Room, queue};
use super::receiver::Receiver;
use super::{Feed, Pulled, ReadPosition, pacing::status_interval};
use crate::assembler::Assembler;
use crate::busy_slot::BusySlot;
use crate::error::CaptureError;
use crate::limits::{QUEUE_BYTES, SLOT_BUSY_DEADLINE, STOP_DEADLINE, STREAMED_MEMORY_BYTES};
use crate::mode::Mode;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trunkline_changes::Lsn;
use trunkline_postgres::{PgError, ReplicationStream, ServerVersion, Session, StreamOptions};

/// How to stream.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Transactions that end at or before this position are not delivered again. It is what
    /// is recorded as durable on the other side: the end of a commit, a [`ReadPosition`],
    /// or the slot's consistent point.
    pub after: Lsn,
    /// A folder for transactions that are streamed while they run and do not fit into
    /// memory. The files in it have no names and go with the process.
    pub spill_folder: PathBuf,
    /// Memory for such transactions, all of them together.
    pub memory_bytes: usize,
    /// How long another session may still hold the slot.
    pub slot_busy_deadline: Duration,
}

impl LiveOptions {
    /// With the usual bounds.
    pub fn after(after: Lsn, spill_folder: impl Into<PathBuf>) -> Self {
        LiveOptions {
            after,
            spill_folder: spill_folder.into(),
            memory_bytes: STREAMED_MEMORY_BYTES,
            slot_busy_deadline: SLOT_BUSY_DEADLINE,
        }
    }
}

/// Reads a slot from the walsender.
pub struct LiveReader {
    feed: Feed,
    puller: Puller,
    durable: watch::Sender<Lsn>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), PgError>>,
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LiveReader {
    /// Starts streaming. The slot must have been examined ([`crate::slot::examine`]): a server
    /// moves a position before the slot's own up to it without a word.
    pub async fn start(feed: Feed, options: LiveOptions) -> Result<Self, CaptureError> {
        let (version, timeout_ms) = ask_server(&feed)
            .await
            .map_err(|cause| feed.fault("preparing to stream", cause))?;
        let text = feed.text(options.after).await?;
        let stream = open_stream(&feed, &options, version).await?;
        let (feeder, drain) = queue(&Room::new(QUEUE_BYTES));
        let (durable, durable_seen) = watch::channel(Lsn::ZERO);
        let stop = CancellationToken::new();
        let receiver = Receiver::new(
            stream,
            feeder,
            durable_seen,
            stop.clone(),
            status_interval(timeout_ms),
        );
        let task = tokio::spawn(receiver.run());
        let assembler = Assembler::new(options.after, options.spill_folder, options.memory_bytes);
        Ok(LiveReader {
            puller: Puller::new(drain, text, assembler),
            durable,
            stop,
            task,
            feed,
        })
    }

    /// What has come, or [`Pulled::Idle`] when nothing comes within the wait. Cancel-safe.
    pub async fn pull(&mut self, wait: Duration) -> Result<Pulled, CaptureError> {
        match self.puller.pull(Some(Instant::now() + wait)).await {
            Ok(Step::Events(events)) => Ok(Pulled::Events(events)),
            Ok(Step::TimedOut) => Ok(Pulled::Idle {
                received: self.puller.idle_position().map(ReadPosition),
            }),
            Ok(Step::Ended) => Err(CaptureError::Ended {
                side: self.feed.side,
            }),
            Err(Broken::Connection(cause)) => {
                Err(self.feed.fault("reading the change stream", cause).into())
            }
            Err(Broken::Stream(cause)) => Err(self.feed.stream_error(cause)),
        }
    }

    /// What the other side holds durably: the end of a commit. The server hears of it within
    /// seconds, and may then forget what lies before. Never moves back.
    pub fn confirm(&mut self, durable: Lsn) {
        self.durable.send_if_modified(|current| {
            let forward = durable > *current;
            *current = durable.max(*current);
            forward
        });
    }

    /// As [`LiveReader::confirm`], for a position with nothing before it that is not durable.
    pub fn confirm_read(&mut self, position: ReadPosition) {
        self.confirm(position.lsn());
    }

    /// The process of an ordinary session of ours on the server that this stream needs, too:
    /// none for pgoutput.
    pub fn asking_process(&self) -> Option<i32> {
        self.puller.asking_process()
    }

    /// Memory and file bytes of running transactions.
    pub fn assembler(&self) -> &Assembler {
        self.puller.assembler()
    }

    /// Ends the stream, confirming what was last told; what was not pulled is dropped and
    /// comes again. A server that does not end it soon is left; it frees the slot when it
    /// notices.
    pub async fn stop(mut self) -> Result<(), CaptureError> {
        self.stop.cancel();
        if let Some(text) = self.puller.take_text() {
            text.lookup.close().await;
        }
        match tokio::time::timeout(STOP_DEADLINE, &mut self.task).await {
            Ok(Ok(ended)) => {
                ended.map_err(|cause| self.feed.fault("ending the change stream", cause).into())
            }
            Ok(Err(_)) => Err(CaptureError::Ended {
                side: self.feed.side,
            }),
            Err(_) => Ok(()),
        }
    }
}

/// The server's version, and its time-out for walsenders in milliseconds.
async fn ask_server(feed: &Feed) -> Result<(ServerVersion, i64), PgError> {
    let mut session = Session::connect(&feed.conninfo, "look").await?;
    let sql = include_str!("../../sql/walsender_timeout.sql");
    let timeout_ms = session.query_one(sql, &[]).await?.get(0)?;
    let version = session.version();
    session.close().await;
    Ok((version, timeout_ms))
}

async fn open_stream(
    feed: &Feed,
    options: &LiveOptions,
    version: ServerVersion,
) -> Result<ReplicationStream, CaptureError> {
    let stream_options = StreamOptions {
        slot: feed.slot.clone(),
        start: options.after,
        options: feed
            .decoder
            .options(Mode::Live, version)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    };
    let mut busy = BusySlot::new(options.slot_busy_deadline);
    loop {
        match ReplicationStream::start(&feed.conninfo, &stream_options).await {
            Ok(stream) => return Ok(stream),
            Err(cause) => match busy.pause(&cause) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(feed.fault("starting the change stream", cause).into()),
            },
        }
    }
}
