//! `run` on the route over a standby: phase after phase, while the journal is a file.

use super::Until;
use super::running::{end_report, hand_over, preflight};
use crate::error::Error;
use crate::observer::Notice;
use crate::phase::{Event, Phase};
use crate::phases::cutover::{self, Extent};
use crate::report::EndReport;
use crate::run::Run;
use crate::standby::{self, Watch};

/// One phase further. A report ends the command.
pub(super) async fn go_on(run: &mut Run<'_>, until: Until) -> Result<Option<EndReport>, Error> {
    let Some(replica) = run.plan.route.replica() else {
        return Err(Error::Refused {
            why: "this migration was begun with `route = \"replica\"`".to_owned(),
            hint: "go on with that plan, or `trunkline abort` it first".to_owned(),
        });
    };
    cutover::standby::settle(run).await?;
    match run.control.state().phase {
        Phase::Planned => preflight(run).await?,
        Phase::Checked => standby::stand(run, &replica.standby).await?,
        Phase::Loaded => come_near(run).await?,
        Phase::Following | Phase::Verified if until == Until::Following => {
            come_near(run).await?;
            return Ok(Some(end_report(run)));
        }
        Phase::Following => compare(run, until).await?,
        Phase::Verified if until == Until::Switched => {
            cutover::standby::cutover(run, Extent::Switch).await?;
        }
        Phase::Verified => stay(run).await?,
        Phase::Fenced | Phase::Drained => {
            // The fence's record is missing: nothing was fenced.
            run.control.moved(Event::FenceLifted).await?;
        }
        Phase::Completed | Phase::Aborted => return Err(Error::Ended),
        phase => {
            return Err(Error::internal(&format!(
                "a migration over a standby is {}",
                phase.name()
            )));
        }
    }
    Ok(None)
}

async fn come_near(run: &mut Run<'_>) -> Result<(), Error> {
    run.step("waiting until the standby is near");
    let mut watch = Watch::open(run).await?;
    watch.until_near(run).await?;
    watch.close().await;
    run.control.moved(Event::CaughtUp).await
}

async fn compare(run: &mut Run<'_>, until: Until) -> Result<(), Error> {
    let compared = standby::verify(run, &crate::choice::Chosen::default()).await;
    let why = match compared {
        Ok(report) if report.equal => return Ok(()),
        Ok(report) => {
            let names = report.differences.iter();
            let mut names: Vec<String> = names.map(|verdict| verdict.table.to_string()).collect();
            if names.is_empty() {
                names.push("large objects".to_owned());
            }
            if until != Until::Forever {
                return Err(Error::Differences(names));
            }
            format!("different on the two sides: {}", names.join(", "))
        }
        // What cannot be compared stops the cutover; the standby follows all the same.
        Err(Error::Refused { why, .. })
            if until == Until::Forever && run.control.state().phase == Phase::Following =>
        {
            why
        }
        Err(error) => return Err(error),
    };
    run.observer.notice(Notice::Warning(&why));
    stay(run).await
}

/// Watches the standby until another command has had the migration.
async fn stay(run: &mut Run<'_>) -> Result<(), Error> {
    let mut watch = Watch::open(run).await?;
    watch.until_wanted(run).await?;
    watch.close().await;
    hand_over(run).await
}
