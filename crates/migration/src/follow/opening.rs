//! The slot examined, both ends opened, and where the last run came to read back.

use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_apply::{Applier, ApplyOptions};
use trunkline_capture::{Feed, Mode, slot};

use super::Follow;
use super::pace::Pace;
use super::recorded::recorded_position;
use crate::error::Error;
use crate::limits::LINGER;
use crate::phases::{copying, ddl_log};
use crate::run::Run;

impl Follow {
    /// Examines the slot and opens both ends.
    pub(crate) async fn open(run: &mut Run<'_>) -> Result<Follow, Error> {
        let leg = run.leg()?.clone();
        let (from, to) = (leg.way.from(), leg.way.to());
        let ddl = ddl_log::options(run, &leg)?;
        let name = run.control.identity().name.clone();
        let mut receiver = run.connect(to, "follower").await?;
        let recorded = recorded_position(&mut receiver, &name, &leg).await?;
        slot::examine(run.plan.server(from), from, &leg.slot, recorded.position).await?;
        let options = ApplyOptions {
            migration: name,
            side: to,
            start: leg.start,
            cover: run.cover(&leg).await?,
            tables: run.table_map(&leg).await?,
            policy: run.plan.conflict,
            linger: LINGER,
        };
        let applier = Applier::open(run.plan.server(to), options).await;
        let mut applier = applier.map_err(|cause| Error::Apply { to, cause })?;
        if let Some(ddl) = ddl {
            applier = applier.with_ddl(ddl);
        }
        let source = run.connect(from, "watch").await?;
        let position = recorded.position.max(applier.applied());
        let (applied_feed, _) = watch::channel(applier.applied());
        run.beat();
        Ok(Follow {
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
