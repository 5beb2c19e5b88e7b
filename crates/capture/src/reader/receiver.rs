//! The task that owns a walsender connection: it reads into the queue, and tells the server
//! on a timer that we live and what is durable, also while the queue is full.

use super::queue::{Abandoned, Bundle, Bundler, Feeder};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use trunkline_changes::Lsn;
use trunkline_postgres::{Frame, PgError, ReplicationStream};

/// Reads one stream.
pub(super) struct Receiver {
    stream: ReplicationStream,
    feeder: Feeder,
    /// What the other side holds durably: the only thing that is ever confirmed.
    durable: watch::Receiver<Lsn>,
    stop: CancellationToken,
    timer: Interval,
    bundler: Bundler,
    /// How far data and keepalives came.
    received: Lsn,
    /// Something came since the last update.
    heard: bool,
}

/// Whether to read on.
enum Flow {
    On,
    /// We were told to stop, or nobody pulls any more.
    End,
}

impl Receiver {
    pub(super) fn new(
        stream: ReplicationStream,
        feeder: Feeder,
        durable: watch::Receiver<Lsn>,
        stop: CancellationToken,
        every: Duration,
    ) -> Self {
        let mut timer = tokio::time::interval(every);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Receiver {
            stream,
            feeder,
            durable,
            stop,
            timer,
            bundler: Bundler::default(),
            received: Lsn::ZERO,
            heard: true,
        }
    }

    /// Runs until it is told to stop, nobody pulls any more, or the connection fails; the
    /// failure goes to the one who pulls. After an orderly end the slot is free.
    pub(super) async fn run(mut self) -> Result<(), PgError> {
        match self.read().await {
            Ok(()) => {
                self.report().await?;
                self.stream.stop().await
            }
            Err(error) => {
                self.feeder.fail(error).await;
                Ok(())
            }
        }
    }

    async fn read(&mut self) -> Result<(), PgError> {
        loop {
            let woken = tokio::select! {
                () = self.stop.cancelled() => Woken::Stop,
                _ = self.timer.tick() => Woken::Timer,
                frame = self.stream.next() => Woken::Frame(frame?),
            };
            match woken {
                Woken::Stop => return Ok(()),
                Woken::Timer => self.report().await?,
                Woken::Frame(frame) => {
                    self.gather(frame).await?;
                    let bundle = self.bundler.take();
                    if let Flow::End = self.hand_over(bundle).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes a frame and those that are here already.
    async fn gather(&mut self, first: Frame) -> Result<(), PgError> {
        self.heard = true;
        let mut reply_requested = self.take(first);
        while !self.bundler.bundle().is_full() {
            match self.stream.next_ready()? {
                Some(frame) => reply_requested |= self.take(frame),
                None => break,
            }
        }
        if reply_requested {
            self.report().await?;
        }
        Ok(())
    }

    /// Takes a frame; says whether the server wants an answer.
    fn take(&mut self, frame: Frame) -> bool {
        match frame {
            Frame::Data { start, payload, .. } => {
                self.received = self.received.max(start);
                self.bundler.push(start, payload);
                false
            }
            Frame::Keepalive {
                wal_end,
                reply_requested,
            } => {
                self.received = self.received.max(wal_end);
                self.bundler.push_keepalive(wal_end);
                reply_requested
            }
        }
    }

    /// Waits for room in the queue, and keeps the server informed meanwhile.
    async fn hand_over(&mut self, bundle: Bundle) -> Result<Flow, PgError> {
        if bundle.is_empty() {
            return Ok(Flow::On);
        }
        let handed = self.feeder.clone().hand_over(bundle);
        tokio::pin!(handed);
        loop {
            tokio::select! {
                handed = &mut handed => return Ok(match handed {
                    Ok(()) => Flow::On,
                    Err(Abandoned) => Flow::End,
                }),
                () = self.stop.cancelled() => return Ok(Flow::End),
                _ = self.timer.tick() => {}
            }
            self.report().await?;
        }
    }

    /// Tells the server where we are. When nothing came since the last time, asks how far it
    /// has read, so that an idle stream still moves.
    async fn report(&mut self) -> Result<(), PgError> {
        let durable = *self.durable.borrow();
        let ask = !std::mem::replace(&mut self.heard, false);
        self.stream
            .report(self.received.max(durable), durable, ask)
            .await
    }
}

/// What woke the task.
enum Woken {
    Stop,
    Timer,
    Frame(Frame),
}
