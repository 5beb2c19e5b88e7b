//! Changes flow: one slot read in batch or live mode, applied, confirmed. Holds always:
//! what is confirmed to the source is durable on the target, and a goal is reached only by
//! a commit that was applied, never by a position that was merely read.

mod by_batch;
mod engine;
mod goal;
mod held_up;
mod listeners;
mod native;
pub(crate) mod opening;
mod pace;
mod recorded;
mod ticking;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_apply::{Applier, ApplyError, Durability};
use trunkline_capture::{
    BatchReader, Feed, Lag, LiveOptions, LiveReader, Mode, Pulled, ReadPosition, decide,
};
use trunkline_changes::{Lsn, StreamEvent};
use trunkline_postgres::Session;

pub(crate) use engine::Follow;
pub(crate) use goal::Goal;
pub(crate) use native::WORKER_AWAY;

use crate::error::Error;
use crate::journal::Leg;
use crate::limits::{CONFIRM_IDLE_EVERY, DURABLE_EVERY, LINGER, QUIET_WAIT};
use crate::run::Run;
use crate::validation::{Changed, Counted};
use held_up::HeldUp;
use pace::Pace;

/// Why following stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The goal.
    Goal,
    /// Another command waits for the migration.
    Wanted,
}

/// Capture and apply, running, in one direction.
pub(crate) struct Stream {
    leg: Leg,
    feed: Feed,
    spill_folder: PathBuf,
    applier: Applier,
    source: Session,
    /// On the relay, where changes are read from one.
    relay: Option<Session>,
    /// On the side that changes go to, for the record of how far the follower is.
    to: Session,
    live: Option<LiveReader>,
    /// Events of the live reader that came with a goal, behind it.
    held: Vec<StreamEvent>,
    batch: Option<BatchReader>,
    mode: Mode,
    /// Nothing of the stream before this position is missing on the target.
    position: Lsn,
    confirmed: Lsn,
    pending: bool,
    /// A transaction was begun and is not whole: the reader that brought it must end it.
    inside: bool,
    pace: Pace,
    last_tick: Option<Instant>,
    last_durable: Instant,
    last_idle_confirm: Instant,
    last_advance: Instant,
    rows_before: u64,
    /// Nothing but the walsender may be used: the source takes no new connection.
    live_only: bool,
    /// Ends [`Goal::Told`] and [`Goal::Validated`].
    pub(crate) told: CancellationToken,
    /// The last position committed, for those who wait for one.
    applied_feed: watch::Sender<Lsn>,
    /// Who hears of changes, and how far it is.
    validation: Option<(Arc<Changed>, Arc<Counted>)>,
    differing_told: u64,
}

impl Stream {
    /// What is followed.
    pub(crate) fn leg(&self) -> &Leg {
        &self.leg
    }

    /// The last position committed on the side that changes go to.
    pub(crate) fn applied(&self) -> Lsn {
        self.applier.applied()
    }

    /// The watching session on the side that changes come from: it stays open through its
    /// fence.
    pub(crate) fn from(&mut self) -> &mut Session {
        &mut self.source
    }

    /// Applies changes until the goal is reached or somebody else wants the migration
    /// (which ends only [`Goal::Forever`]).
    pub(crate) async fn until(&mut self, run: &mut Run<'_>, goal: Goal) -> Result<Reached, Error> {
        let writers = [self.applier.canceller(), self.to.canceller()];
        let held_up = HeldUp::new(run, (&self.leg, !self.live_only), writers);
        let (cancel, phase) = (run.cancel.clone(), run.control.state().phase);
        let reached = tokio::select! {
            reached = self.read_until(run, goal) => reached,
            error = held_up.watch() => Err(error),
        };
        reached.map_err(|error| {
            if error.is_cancelled_statement() && cancel.is_cancelled() {
                Error::Interrupted(phase)
            } else {
                error
            }
        })
    }

    async fn read_until(&mut self, run: &mut Run<'_>, goal: Goal) -> Result<Reached, Error> {
        loop {
            let lag = self.readable_lag().await;
            self.mode = self.choose(lag);
            let reached = match self.mode {
                Mode::Batch => self.read_batches(run, goal).await?,
                Mode::Live => self.read_live(run, goal).await?,
            };
            if let Some(reached) = reached {
                return Ok(reached);
            }
        }
    }

    /// Stays with the stream that is open, for as long as the source is fenced.
    pub(crate) fn stay_live(&mut self) {
        self.live_only = true;
    }

    fn choose(&self, lag: Lag) -> Mode {
        if self.live_only {
            Mode::Live
        } else {
            decide(self.mode, lag, self.thresholds())
        }
    }

    async fn read_live(&mut self, run: &mut Run<'_>, goal: Goal) -> Result<Option<Reached>, Error> {
        if let Some(batch) = self.batch.take() {
            batch.stop().await;
        }
        let mut reader = if let Some(reader) = self.live.take() {
            reader
        } else {
            let options = LiveOptions::after(self.position, &self.spill_folder);
            LiveReader::start(self.feed.clone(), options).await?
        };
        self.applier.set_linger(LINGER);
        loop {
            let wait = if self.pending { LINGER } else { QUIET_WAIT };
            let pulled = tokio::select! {
                pulled = self.held_or_pulled(&mut reader, wait) => pulled?,
                () = run.cancel.cancelled() => {
                    let interrupted = self.interrupted(run).await?;
                    reader.confirm(self.applier.durable());
                    reader.stop().await?;
                    return Err(interrupted);
                }
            };
            let at_goal = match pulled {
                Pulled::Events(events) => {
                    self.pending = true;
                    let behind = self.push(events, goal).await?;
                    let at_goal = behind.is_some();
                    self.held = behind.unwrap_or_default();
                    at_goal
                }
                Pulled::Idle { received } => {
                    self.commit(Durability::Fast).await?;
                    self.confirm_idle(&mut reader, run, received).await?;
                    false
                }
                Pulled::EndOfBatch { .. } => false,
            };
            if self.last_durable.elapsed() >= DURABLE_EVERY {
                self.make_durable(&mut reader).await?;
            }
            let reached = if at_goal {
                Some(Reached::Goal)
            } else {
                self.tick(run, goal).await?
            };
            if let Some(reached) = reached {
                // After `Before` the reader holds the transaction that was not applied: the
                // next one starts again at the position.
                if matches!(goal, Goal::Before(_)) {
                    self.held.clear();
                    reader.stop().await?;
                } else {
                    self.live = Some(reader);
                }
                return Ok(Some(reached));
            }
            if !self.inside && self.should_batch() {
                self.make_durable(&mut reader).await?;
                self.live = Some(reader);
                return Ok(None);
            }
        }
    }

    /// What the reader brought together with the goal of before comes first: it has gone past
    /// it, and does not bring it again.
    async fn held_or_pulled(
        &mut self,
        reader: &mut LiveReader,
        wait: Duration,
    ) -> Result<Pulled, Error> {
        if self.held.is_empty() {
            return Ok(reader.pull(wait).await?);
        }
        Ok(Pulled::Events(std::mem::take(&mut self.held)))
    }

    fn should_batch(&self) -> bool {
        // Looked at only just after a tick, so that it costs one query in half a second.
        let just_ticked = self.last_tick.is_some_and(|at| at.elapsed() < LINGER);
        just_ticked
            && match self.pace.lag() {
                Some(bytes) => self.choose(Lag::Bytes(bytes)) == Mode::Batch,
                None => false,
            }
    }

    /// Pushes events up to the goal. Where it is among them, everything up to it is durable
    /// then, and what is behind it is given back.
    async fn push(
        &mut self,
        mut events: Vec<StreamEvent>,
        goal: Goal,
    ) -> Result<Option<Vec<StreamEvent>>, Error> {
        let behind = goal.within(&events).map(|place| events.split_off(place));
        for event in events {
            match &event {
                StreamEvent::Begin(_) => self.inside = true,
                StreamEvent::Commit { .. } => self.inside = false,
                StreamEvent::Change(change) => {
                    if let Some((changed, _)) = &self.validation {
                        changed.note(change);
                    }
                }
            }
            let pushed = self.applier.push(event).await;
            pushed.map_err(|cause| self.failed(cause))?;
        }
        if behind.is_some() {
            self.commit(Durability::Durable).await?;
        }
        self.position = self.position.max(self.applier.applied());
        self.tell_applied();
        Ok(behind)
    }

    async fn commit(&mut self, durability: Durability) -> Result<(), Error> {
        let flushed = self.applier.flush(durability).await;
        flushed.map_err(|cause| self.failed(cause))?;
        self.pending = false;
        self.position = self.position.max(self.applier.applied());
        self.tell_applied();
        if durability == Durability::Durable {
            self.last_durable = Instant::now();
        }
        Ok(())
    }

    async fn make_durable(&mut self, reader: &mut LiveReader) -> Result<(), Error> {
        if self.applier.durable() < self.applier.applied() || self.pending {
            self.commit(Durability::Durable).await?;
        }
        self.last_durable = Instant::now();
        reader.confirm(self.applier.durable());
        Ok(())
    }

    /// While the stream is quiet: confirms what the server has read through, so that an idle
    /// database does not keep its log.
    async fn confirm_idle(
        &mut self,
        reader: &mut LiveReader,
        run: &mut Run<'_>,
        received: Option<ReadPosition>,
    ) -> Result<(), Error> {
        let Some(received) = received else {
            return Ok(());
        };
        self.position = self.position.max(received.lsn());
        if self.last_idle_confirm.elapsed() < CONFIRM_IDLE_EVERY || received.lsn() <= self.confirmed
        {
            return Ok(());
        }
        self.make_durable(reader).await?;
        self.record_confirmed(run, received).await?;
        reader.confirm_read(received);
        self.confirmed = received.lsn();
        self.last_idle_confirm = Instant::now();
        Ok(())
    }

    fn failed(&self, cause: ApplyError) -> Error {
        let to = self.leg.way.to();
        Error::Apply { to, cause }
    }

    async fn interrupted(&mut self, run: &Run<'_>) -> Result<Error, Error> {
        self.commit(Durability::Durable).await?;
        Ok(Error::Interrupted(run.control.state().phase))
    }

    /// Ends both ends in an orderly way, so that the slot is free when this returns.
    pub(crate) async fn close(mut self, run: &mut Run<'_>) -> Result<(), Error> {
        self.commit(Durability::Durable).await?;
        // What was applied since the last tick counts too.
        self.write_follower(run, self.confirmed).await?;
        if let Some(mut live) = self.live.take() {
            live.confirm(self.applier.durable());
            live.stop().await?;
        }
        if let Some(batch) = self.batch.take() {
            self.end_batches(batch).await?;
        }
        self.source.close().await;
        if let Some(relay) = self.relay {
            relay.close().await;
        }
        Ok(())
    }
}
