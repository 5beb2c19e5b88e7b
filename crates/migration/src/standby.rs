//! The route over a physical standby: it follows the source by itself, and is watched here;
//! a cutover promotes it. Until then nothing can be written on it, so the journal is a file.
//! [`making`] and [`removing`] are of standbys that are ours, a relay among them.
//!
//! Checked → Loaded: a standby stands. Loaded → Following: it is near. Following → Verified:
//! its rows were compared. The rest is [`crate::phases::cutover::standby`]; behind the switch
//! everything is as on the other routes.

mod look;
pub(crate) mod making;
pub(crate) mod metric;
pub(crate) mod removing;
mod verifying;
mod watch;

pub(crate) use look::{StandbyLook, written};
pub(crate) use verifying::verify;
pub(crate) use watch::Watch;

use trunkline_changes::{Lsn, Side};
use trunkline_postgres::Session;

use crate::checks::{self, Verdict};
use crate::commands::looked;
use crate::error::Error;
use crate::phase::Event;
use crate::plan::{Plan, StandbyPlan};
use crate::run::Run;

/// Checked → Loaded: sees that the standby is there.
pub(crate) async fn stand(run: &mut Run<'_>, standby: &StandbyPlan) -> Result<(), Error> {
    if let StandbyPlan::Made(_) = standby {
        making::ensure(run).await?;
        examine(run).await?;
    }
    run.step("looking for the standby");
    let mut session = run.connect(Side::Target, "standby").await?;
    let look = StandbyLook::read(&mut session).await?;
    session.close().await;
    if !look.is_standby {
        return Err(not_a_standby());
    }
    run.control.moved(Event::StandbyStands).await
}

/// Checked: a relay that we make stands before anything is read from it.
pub(crate) async fn relay(run: &mut Run<'_>) -> Result<(), Error> {
    if run.plan.relay.is_none() || run.plan.made_standby().is_none() {
        return Ok(());
    }
    making::ensure(run).await?;
    examine(run).await
}

/// What could not be looked at before there was a standby.
async fn examine(run: &Run<'_>) -> Result<(), Error> {
    run.step("checking both servers");
    let findings = looked(run).await?;
    if let Verdict::Blocked { .. } = checks::verdict(&findings) {
        return Err(Error::Preflight(findings));
    }
    Ok(())
}

/// Where the source's log ends on its disk, and up to where the standby has replayed it;
/// `None` where one of the two does not answer, or the target is no standby.
pub(crate) async fn distance(plan: &Plan) -> Option<(Lsn, Lsn)> {
    let mut source = Session::connect(&plan.source, "status").await.ok()?;
    let mut target = Session::connect(&plan.target, "status").await.ok()?;
    let replayed = StandbyLook::read(&mut target).await.ok()?.replayed?;
    Some((written(&mut source).await.ok()?, replayed))
}

/// A target that takes writes has left the source's history.
pub(crate) fn not_a_standby() -> Error {
    Error::Refused {
        why: "the target is not a standby: it was promoted, or never was one".to_owned(),
        hint: "make it a standby of the source (pg_basebackup, or pg_rewind after a promotion), \
               then `trunkline run`; or `trunkline abort`"
            .to_owned(),
    }
}
