//! Twice a second while following: the lag, the budget, commands that wait, what watchers
//! see, and the record of it on the target.

use std::time::Instant;

use trunkline_apply::Durability;
use trunkline_capture::{Lag, Mode, ReadPosition, Thresholds, lag};
use trunkline_changes::Lsn;
use trunkline_postgres::OnSide;

use super::{Goal, Reached, Stream};
use crate::error::Error;
use crate::limits::TICK;
use crate::observer::Notice;
use crate::run::Run;
use crate::status::{Arrival, FollowStatus};

impl Stream {
    /// How much of the log can be read at once: what a relay has not replayed cannot.
    pub(super) async fn readable_lag(&mut self) -> Lag {
        let read = self.relay.as_mut().unwrap_or(&mut self.source);
        lag(read, self.position).await
    }

    /// From where on the slot is read by SQL, as fast as the source writes now.
    pub(super) fn thresholds(&self) -> Thresholds {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate, never negative"
        )]
        Thresholds::for_rate(self.pace.written().unwrap_or(0.0) as u64)
    }

    /// Twice a second: the lag, the budget, commands that wait, what watchers see.
    pub(super) async fn tick(
        &mut self,
        run: &mut Run<'_>,
        goal: Goal,
    ) -> Result<Option<Reached>, Error> {
        if self.last_tick.is_some_and(|at| at.elapsed() < TICK) {
            return Ok(None);
        }
        self.last_tick = Some(Instant::now());
        let relay = self.relay.as_mut();
        let looked = run
            .look_at_source(&mut self.source, relay, &self.leg)
            .await?;
        run.alive();
        self.pace.look(looked.readable, self.position);
        let status = FollowStatus {
            mode: self.mode_name(),
            lag_bytes: looked.position.bytes_since(self.position),
            applied_lsn: self.applier.applied(),
            rows_applied: self.rows_applied(),
            apply_bytes_per_second: self.pace.applied(),
            source_bytes_per_second: self.pace.written(),
            arrival: Arrival::estimate(
                looked.position.bytes_since(self.position),
                self.pace.applied(),
                self.pace.written(),
            ),
        };
        run.observer.notice(Notice::Follow(&status));
        self.tell_validation(run, goal);
        self.write_follower(run, self.confirmed).await?;
        if self.inside {
            // Whoever comes next begins between transactions.
            return Ok(None);
        }
        let gives_way = matches!(goal, Goal::Forever | Goal::Validated);
        if gives_way && run.control.is_wanted().await? {
            self.commit(Durability::Durable).await?;
            return Ok(Some(Reached::Wanted));
        }
        match goal {
            Goal::Told | Goal::Validated if self.told.is_cancelled() => Ok(Some(Reached::Goal)),
            Goal::Near(bytes) if status.lag_bytes <= bytes && self.mode == Mode::Live => {
                self.commit(Durability::Durable).await?;
                Ok(Some(Reached::Goal))
            }
            _ => Ok(None),
        }
    }

    /// Writes, durably, how far the source is about to be told that we are.
    pub(super) async fn record_confirmed(
        &mut self,
        run: &mut Run<'_>,
        position: ReadPosition,
    ) -> Result<(), Error> {
        self.write_follower(run, position.lsn()).await
    }

    pub(super) async fn write_follower(
        &mut self,
        run: &mut Run<'_>,
        confirmed: Lsn,
    ) -> Result<(), Error> {
        let (name, mode) = (run.control.identity().name.clone(), self.mode_name());
        let rows = self.rows_before + self.rows_applied();
        self.to
            .execute(
                include_str!("../sql/follower_write.sql"),
                &[
                    &name,
                    &self.leg.number,
                    &mode,
                    &confirmed,
                    &rows,
                    &self.pace.applied(),
                    &self.pace.written(),
                ],
            )
            .await
            .on(self.leg.way.to(), "recording how far changes are applied")?;
        Ok(())
    }

    fn mode_name(&self) -> &'static str {
        match self.mode {
            Mode::Batch => "batch",
            Mode::Live => "live",
        }
    }
}
