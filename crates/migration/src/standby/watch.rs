//! The standby, watched: how far it is behind the source, whether it is one still, and
//! whether another command asks for the migration.

use trunkline_changes::{Lsn, Side};
use trunkline_postgres::Session;

use super::look::{StandbyLook, written};
use super::not_a_standby;
use crate::error::Error;
use crate::limits::{STANDBY_NEAR_LOOKS, STANDBY_SILENT_LOOKS, TICK};
use crate::observer::Notice;
use crate::phase::Event;
use crate::run::Run;
use crate::status::{Arrival, FollowStatus};

/// A session on either side.
pub(crate) struct Watch {
    source: Session,
    standby: Session,
    /// Looks in a row at which the standby was not connected.
    silent: u32,
}

/// One look at both sides.
struct Distance {
    written: Lsn,
    replayed: Lsn,
}

impl Distance {
    fn lag_bytes(&self) -> u64 {
        self.written.bytes_since(self.replayed)
    }
}

impl Watch {
    /// Connects to both.
    pub(crate) async fn open(run: &Run<'_>) -> Result<Watch, Error> {
        Ok(Watch {
            source: run.connect(Side::Source, "watch").await?,
            standby: run.connect(Side::Target, "watch").await?,
            silent: 0,
        })
    }

    /// Ends both sessions.
    pub(crate) async fn close(self) {
        self.source.close().await;
        self.standby.close().await;
    }

    /// Returns once the standby has been near for a while, under whatever load there is.
    pub(crate) async fn until_near(&mut self, run: &mut Run<'_>) -> Result<(), Error> {
        let mut near = 0;
        while near < STANDBY_NEAR_LOOKS {
            let distance = self.look(run).await?;
            near = if distance.lag_bytes() <= run.plan.cutover.max_lag_bytes {
                near + 1
            } else {
                0
            };
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// Returns once the standby has replayed all that the source had written by now: gives
    /// both positions.
    pub(crate) async fn until_replayed(&mut self, run: &mut Run<'_>) -> Result<(Lsn, Lsn), Error> {
        let wanted = written(&mut self.source).await?;
        loop {
            let distance = self.look(run).await?;
            if distance.replayed >= wanted {
                return Ok((wanted, distance.replayed));
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Watches until another command asks for the migration.
    pub(crate) async fn until_wanted(&mut self, run: &mut Run<'_>) -> Result<(), Error> {
        loop {
            self.look(run).await?;
            if run.control.is_wanted().await? {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = run.cancel.cancelled() => {}
            }
        }
    }

    async fn look(&mut self, run: &mut Run<'_>) -> Result<Distance, Error> {
        run.stop_if_cancelled()?;
        let written = written(&mut self.source).await?;
        let look = StandbyLook::read(&mut self.standby).await?;
        run.beat();
        let Some(replayed) = look.replayed.filter(|_| look.is_standby) else {
            run.control.moved(Event::StandbySpent).await?;
            return Err(not_a_standby());
        };
        self.say_if_silent(run, look);
        let distance = Distance { written, replayed };
        let lag_bytes = distance.lag_bytes();
        run.observer.notice(Notice::Follow(&FollowStatus {
            mode: "standby",
            lag_bytes,
            applied_lsn: replayed,
            rows_applied: 0,
            apply_bytes_per_second: None,
            source_bytes_per_second: None,
            arrival: Arrival::estimate(lag_bytes, None, None),
        }));
        Ok(distance)
    }

    /// A standby that does not receive falls behind for ever: said once each time.
    fn say_if_silent(&mut self, run: &Run<'_>, look: StandbyLook) {
        self.silent = if look.receives && !look.paused {
            0
        } else {
            self.silent + 1
        };
        if self.silent == STANDBY_SILENT_LOOKS {
            let warning = if look.paused {
                "the standby's replay is paused: SELECT pg_wal_replay_resume() on the target"
            } else {
                "the standby is not connected to the source: its log says why"
            };
            run.observer.notice(Notice::Warning(warning));
        }
    }
}
