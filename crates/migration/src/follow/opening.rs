//! The slot examined, both ends opened, and where the last run came to read back.

use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_apply::{Applier, ApplyOptions, CopyCover};
use trunkline_capture::{Feed, Mode, slot};
use trunkline_changes::Lsn;

use super::Stream;
use super::pace::Pace;
use super::recorded::recorded_position;
use crate::error::Error;
use crate::journal::Leg;
use crate::limits::LINGER;
use crate::phases::copying;
use crate::run::Run;

impl Stream {
    /// Examines the slot and opens both ends.
    pub(crate) async fn open(run: &mut Run<'_>) -> Result<Stream, Error> {
        let leg = run.leg()?.clone();
        let cover = run.cover(&leg).await?;
        Stream::open_from(run, leg, cover).await
    }

    /// The same from a position that somebody else came to: both sides agree up to there, so
    /// that every change after it counts, whatever was copied.
    pub(crate) async fn open_behind(run: &mut Run<'_>, position: Lsn) -> Result<Stream, Error> {
        let mut leg = run.leg()?.clone();
        leg.start = leg.start.max(position);
        Stream::open_from(run, leg, CopyCover::nothing_copied()).await
    }

    async fn open_from(run: &mut Run<'_>, leg: Leg, cover: CopyCover) -> Result<Stream, Error> {
        let (from, to) = (leg.way.from(), leg.way.to());
        let name = run.control.identity().name.clone();
        let mut receiver = run.connect(to, "follower").await?;
        let recorded = recorded_position(&mut receiver, &name, &leg).await?;
        slot::examine(run.plan.server(from), from, &leg.slot, recorded.position).await?;
        let options = ApplyOptions {
            migration: name,
            side: to,
            start: leg.start,
            cover,
            tables: run.table_map(&leg).await?,
            policy: run.plan.conflict,
            linger: LINGER,
        };
        let applier = Applier::open(run.plan.server(to), options).await;
        let applier = applier.map_err(|cause| Error::Apply { to, cause })?;
        let source = run.connect(from, "watch").await?;
        let position = recorded.position.max(applier.applied());
        let (applied_feed, _) = watch::channel(applier.applied());
        run.beat();
        Ok(Stream {
            feed: Feed {
                conninfo: run.plan.server(from).clone(),
                side: from,
                slot: leg.slot.name.clone(),
                publications: run.publications(&leg),
            },
            leg,
            to: receiver,
            spill_folder: copying::folder(run)?,
            applier,
            source,
            live: None,
            batch: None,
            mode: Mode::Batch,
            position,
            confirmed: recorded.position,
            pending: false,
            inside: false,
            pace: Pace::new(),
            last_tick: None,
            last_durable: Instant::now(),
            last_idle_confirm: Instant::now(),
            rows_before: recorded.rows_applied,
            live_only: false,
            told: CancellationToken::new(),
            applied_feed,
            validation: None,
            differing_told: 0,
        })
    }
}
