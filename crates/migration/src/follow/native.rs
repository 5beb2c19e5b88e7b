//! A subscription of the target, watched: it applies, we look how far it is. Holds always: it
//! runs or it rests as the goal needs it; where changes must end at one position exactly, it
//! rests and our own stream takes its slot for that stretch.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{OnSide, Session};

use super::engine::SIDES;
use super::pace::Pace;
use super::{Goal, Reached, Stream};
use crate::error::Error;
use crate::journal::Leg;
use crate::limits::{SUBSCRIPTION_LOOK, SUBSCRIPTION_RESTS_WITHIN, SUBSCRIPTION_WATCH, TICK};
use crate::observer::Notice;
use crate::run::{Run, answered};
use crate::status::{Arrival, FollowStatus};
use crate::subscription::status::Trouble;
use crate::subscription::{self, Seen, SlotSeen};

/// A subscription that is watched.
pub(crate) struct Native {
    leg: Leg,
    name: String,
    source: Session,
    to: Session,
    seen: Seen,
    slot: SlotSeen,
    /// Everything before it is on the target.
    position: Lsn,
    pace: Pace,
    last_tick: Option<Instant>,
    trouble: Trouble,
    /// It is to rest when this ends.
    rests: bool,
    pub(super) told: CancellationToken,
    applied_feed: watch::Sender<Lsn>,
}

impl Native {
    pub(super) async fn open(run: &mut Run<'_>, leg: Leg, name: String) -> Result<Self, Error> {
        let (from, to) = SIDES;
        let source = run.connect(from, "watch").await?;
        let mut to = run.connect(to, "watch").await?;
        subscription::renew_connection(run, &mut to, &name).await?;
        let (applied_feed, _) = watch::channel(leg.start);
        let position = leg.start;
        let mut native = Native {
            leg,
            name,
            source,
            to,
            seen: Seen::default(),
            slot: SlotSeen::default(),
            position,
            pace: Pace::new(),
            last_tick: None,
            trouble: Trouble::default(),
            rests: false,
            told: CancellationToken::new(),
            applied_feed,
        };
        native.look().await?;
        run.beat();
        Ok(native)
    }

    pub(super) fn leg(&self) -> &Leg {
        &self.leg
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn applied(&self) -> Lsn {
        self.position
    }

    pub(super) fn from(&mut self) -> &mut Session {
        &mut self.source
    }

    pub(super) fn applied_feed(&self) -> watch::Receiver<Lsn> {
        self.applied_feed.subscribe()
    }

    /// The last transaction that changed a row: an empty one leaves no trace there.
    pub(super) fn changes_seen(&self) -> u64 {
        self.seen.origin.get()
    }

    /// What the target itself says: how far its worker has answered for.
    pub(super) async fn read_back(&self, to: &mut Session) -> Result<Lsn, Error> {
        let seen = subscription::seen(to, &self.name).await?;
        let seen = seen.ok_or_else(|| subscription::gone(&self.name))?;
        Ok(seen.answered.max(seen.origin))
    }

    async fn look(&mut self) -> Result<(), Error> {
        let (source, to, slot) = (&mut self.source, &mut self.to, &self.leg.slot.name);
        let name = &self.name;
        let asked = answered(Side::Source, async {
            let seen = subscription::seen(to, name).await?;
            Ok((seen, subscription::slot_seen(source, slot).await?))
        });
        let (seen, slot_now) = asked.await?;
        self.seen = seen.ok_or_else(|| subscription::gone(name))?;
        subscription::refuse_without_slot(&slot_now, slot)?;
        self.slot = slot_now;
        let known = self.seen.origin.max(self.slot.confirmed);
        self.position = self.position.max(known);
        self.applied_feed.send_if_modified(|told| {
            let is_new = *told < self.position;
            *told = self.position.max(*told);
            is_new
        });
        Ok(())
    }

    pub(super) async fn until(&mut self, run: &mut Run<'_>, goal: Goal) -> Result<Reached, Error> {
        if let Goal::Before(point) = goal {
            return self.end_before(run, point).await;
        }
        let (source, to) = (&mut self.source, &mut self.to);
        subscription::resume(run, &self.leg, &self.name, source, to).await?;
        loop {
            self.look().await?;
            if let Some(reached) = self.tick(run, goal).await? {
                return Ok(reached);
            }
            let wait = match goal {
                Goal::Commit(barrier) if self.holds(barrier) => return Ok(Reached::Goal),
                Goal::Commit(_) => SUBSCRIPTION_LOOK,
                _ => SUBSCRIPTION_WATCH,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.told.cancelled() => {
                    if matches!(goal, Goal::Told | Goal::Validated) {
                        return Ok(Reached::Goal);
                    }
                    tokio::time::sleep(wait).await;
                }
                () = run.cancel.cancelled() => {
                    return Err(Error::Interrupted(run.control.state().phase));
                }
            }
        }
    }

    /// Whether everything before a position is on the target, in the words of both servers.
    fn holds(&self, position: Lsn) -> bool {
        let answered = self.seen.answered.max(self.seen.origin);
        self.seen.is_ready() && answered >= position && self.slot.confirmed >= position
    }

    /// Its worker cannot be told where to stop. So it rests, and our own stream applies what is
    /// left before the position. It runs again, from there, when it is followed again.
    async fn end_before(&mut self, run: &mut Run<'_>, point: Lsn) -> Result<Reached, Error> {
        self.bring_to_rest(run).await?;
        if self.seen.origin > point {
            return Err(Error::Internal(format!(
                "the subscription has applied up to {}, and was to end before {point}",
                self.seen.origin
            )));
        }
        if !self.seen.is_ready() {
            return Err(Error::Refused {
                why: "the subscription has not brought the rows of all its tables".to_owned(),
                hint: "`trunkline status` names the tables".to_owned(),
            });
        }
        let mut stream = Stream::open_behind(run, self.position).await?;
        let reached = stream.until(run, Goal::Before(point)).await;
        let applied = stream.applied();
        let closed = stream.close(run).await;
        self.position = self.position.max(applied);
        let reached = reached?;
        closed?;
        Ok(reached)
    }

    pub(super) async fn bring_to_rest(&mut self, run: &Run<'_>) -> Result<(), Error> {
        subscription::to_rest(run, &mut self.to, &self.name).await?;
        // What its worker said last is known to the source once the slot is free.
        let until = Instant::now() + SUBSCRIPTION_RESTS_WITHIN;
        self.look().await?;
        while self.slot.active && Instant::now() < until {
            run.stop_if_cancelled()?;
            tokio::time::sleep(SUBSCRIPTION_LOOK).await;
            self.look().await?;
        }
        Ok(())
    }

    /// Twice a second: the lag, the budget, what fails, commands that wait, what watchers see.
    async fn tick(&mut self, run: &mut Run<'_>, goal: Goal) -> Result<Option<Reached>, Error> {
        if self.last_tick.is_some_and(|at| at.elapsed() < TICK) {
            return Ok(None);
        }
        self.last_tick = Some(Instant::now());
        run.look_at_source(&mut self.source, None, &self.leg)
            .await?;
        run.alive();
        self.pace.look(self.slot.written, self.position);
        let lag_bytes = self.slot.written.bytes_since(self.position);
        let (applied, written) = (self.pace.applied(), self.pace.written());
        let status = FollowStatus {
            mode: "subscription",
            lag_bytes,
            applied_lsn: self.position,
            rows_applied: 0,
            apply_bytes_per_second: applied,
            source_bytes_per_second: written,
            arrival: Arrival::estimate(lag_bytes, applied, written),
        };
        run.observer.notice(Notice::Follow(&status));
        if let Some(what) = self
            .trouble
            .look(&mut self.to, &self.name, &self.seen)
            .await?
        {
            run.observer.notice(Notice::Warning(&what));
        }
        self.record(run).await?;
        let gives_way = matches!(goal, Goal::Forever | Goal::Validated);
        if gives_way && run.control.is_wanted().await? {
            return Ok(Some(Reached::Wanted));
        }
        match goal {
            Goal::Told | Goal::Validated if self.told.is_cancelled() => Ok(Some(Reached::Goal)),
            Goal::Near(bytes) if lag_bytes <= bytes && self.seen.is_ready() => {
                Ok(Some(Reached::Goal))
            }
            _ => Ok(None),
        }
    }

    /// Writes how far it is, for whoever looks while nobody follows.
    async fn record(&mut self, run: &Run<'_>) -> Result<(), Error> {
        let name = &run.control.identity().name;
        let rows: u64 = 0;
        self.to
            .execute(
                include_str!("../sql/follower_write.sql"),
                &[
                    name,
                    &self.leg.number,
                    &"subscription",
                    &self.position,
                    &rows,
                    &self.pace.applied(),
                    &self.pace.written(),
                ],
            )
            .await
            .on(Side::Target, "recording how far changes are applied")?;
        Ok(())
    }

    /// From here on it is to rest, also when this ends.
    pub(super) fn rests(&mut self) {
        self.rests = true;
    }

    pub(super) async fn close(mut self, run: &mut Run<'_>) -> Result<(), Error> {
        self.record(run).await?;
        if !self.rests {
            let (source, to) = (&mut self.source, &mut self.to);
            subscription::resume(run, &self.leg, &self.name, source, to).await?;
        }
        self.source.close().await;
        self.to.close().await;
        Ok(())
    }
}

/// How long a worker may be away before it is said: a server starts it again after
/// `wal_retrieve_retry_interval`, five seconds.
pub(crate) const WORKER_AWAY: Duration = Duration::from_secs(12);
