//! The loader at work, and the log that the source keeps meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_changes::Side;
use trunkline_load::{LoadError, Progress};
use trunkline_postgres::Session;

use super::copying::ended_by;
use crate::error::Error;
use crate::journal::Leg;
use crate::limits::BUDGET_LOOK;
use crate::observer::Notice;
use crate::run::Run;
use crate::waiting;

/// Between two looks at the copy's counters.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Shows the counters while the loader works, and keeps the source's budget.
pub(super) async fn shown<T>(
    run: &mut Run<'_>,
    progress: &Arc<Progress>,
    work: impl Future<Output = Result<T, LoadError>>,
) -> Result<T, Error> {
    watched(run, Some(progress), work).await
}

/// Keeps the source's budget while the loader does what has no counters.
pub(super) async fn within_budget<T>(
    run: &mut Run<'_>,
    work: impl Future<Output = Result<T, LoadError>>,
) -> Result<T, Error> {
    watched(run, None, work).await
}

async fn watched<T>(
    run: &mut Run<'_>,
    progress: Option<&Arc<Progress>>,
    work: impl Future<Output = Result<T, LoadError>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(waiting::told(run.plan, run.observer, work));
    let mut look = Look::default();
    let mut looked = Instant::now();
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended,
            () = tokio::time::sleep(SHOW_EVERY) => {}
        }
        run.alive();
        if let Some(progress) = progress {
            run.observer.notice(Notice::Copy(progress));
        }
        if looked.elapsed() >= BUDGET_LOOK
            && let Some(leg) = run.control.state().leg.clone()
        {
            looked = Instant::now();
            look.at_source(run, &leg).await?;
        }
    };
    if let Some(progress) = progress {
        run.observer.notice(Notice::Copy(progress));
    }
    ended.map_err(|error| ended_by(run, error))
}

/// The sessions that look at the log that is kept, once there are any.
#[derive(Default)]
struct Look {
    source: Option<Session>,
    relay: Option<Session>,
}

impl Look {
    async fn at_source(&mut self, run: &mut Run<'_>, leg: &Leg) -> Result<(), Error> {
        let mut source = match self.source.take() {
            Some(source) => source,
            None => run.connect(Side::Source, "watch").await?,
        };
        if self.relay.is_none() && run.plan.relay.is_some() {
            self.relay = run.connect_reading(Side::Source, "watch").await.ok();
            if self.relay.is_none() {
                self.source = Some(source);
                return Ok(());
            }
        }
        let seen = run.look_at_source(&mut source, self.relay.as_mut(), leg);
        match seen.await {
            // The copy waits for a relay that is being started again; so does the look.
            Err(error) if self.relay.is_some() && !source.is_broken() && error.may_retry() => {
                self.relay = None;
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        self.source = Some(source);
        Ok(())
    }
}
