//! What each command does with the phases: the door through which the binary comes in.

mod checking;
mod cloning;
mod outcome;
pub(crate) mod reopening;
mod running;
mod seeded;
mod standby;
mod validating;

use tokio_util::sync::CancellationToken;
use trunkline_changes::Side;
use trunkline_load::Scope;
use trunkline_postgres::{Backoff, Fault, OnSide, Session};

use crate::choice::{self, Chosen};
use crate::control::{self, Claim};
use crate::error::Error;
use crate::follow::Follow;
use crate::limits::{COMPARED_AGAIN, HAND_OVER_WITHIN, RECONNECT_FIRST, RECONNECT_PAUSE};
use crate::observer::{Notice, Observer};
use crate::phase::Phase;
use crate::phases::cutover::Extent;
use crate::phases::ending::{OldDatabase, TargetTables};
use crate::phases::mending::{Mending, mend};
use crate::phases::verifying::{self, Selection};
use crate::phases::{cutover, ending};
use crate::plan::Plan;
use crate::report::{CutoverReport, EndReport, VerifyReport};
use crate::run::{Pulse, Run};
use crate::subscription;
use crate::waiting;

pub use checking::check;
pub(crate) use checking::looked;
pub use cloning::clone;
pub use running::{Until, run};

/// What a command needs beside the plan.
#[derive(Clone)]
pub struct Setting<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Asks the command to stop at a safe place.
    pub cancel: CancellationToken,
}

impl<'a> Setting<'a> {
    async fn open(&self, claim: Claim, begin: bool) -> Result<Run<'a>, Error> {
        match self.open_with(claim, begin, Pulse::default()).await {
            // Whoever waits on the target for the migration is ended with everybody else when
            // a rollback closes it; otherwise somebody ended this session.
            Err(Error::Server(fault))
                if was_ended(&fault) && reopening::is_rolled_back(self.plan).await =>
            {
                Err(Error::Held {
                    name: self.plan.name.clone(),
                    hint: "a rollback closed the target while this waited for it: see `trunkline \
                           status`, then run this again"
                        .to_owned(),
                })
            }
            opened => opened,
        }
    }

    async fn open_with(&self, claim: Claim, begin: bool, pulse: Pulse) -> Result<Run<'a>, Error> {
        let control = reopening::open(self.plan, claim, begin).await?;
        let run = self.run_with(control, pulse);
        crate::standby::making::wake(&run).await;
        Ok(run)
    }

    fn run_with(&self, control: control::Control, pulse: Pulse) -> Run<'a> {
        let (observer, cancel) = (self.observer, self.cancel.clone());
        Run::new(self.plan, control, observer, cancel, pulse)
    }
}

/// Whether the target ended our session at an administrator's command (57P01).
fn was_ended(fault: &Fault) -> bool {
    let state = fault.cause.sqlstate();
    fault.side == Side::Target && state.is_some_and(|state| state.as_str() == "57P01")
}

/// A migration that is held for a command other than `run`; its rows must be there.
async fn claim_following<'a>(setting: &Setting<'a>) -> Result<Run<'a>, Error> {
    let mut run = setting
        .open(Claim::HandedOver(HAND_OVER_WITHIN), false)
        .await?;
    settle(&mut run).await?;
    match run.control.state().phase {
        Phase::Following | Phase::Verified | Phase::Switched => Ok(run),
        phase => Err(Error::Refused {
            why: format!(
                "the migration is {}: its rows are not all on the target yet",
                phase.name()
            ),
            hint: "`trunkline run` goes on where it was".to_owned(),
        }),
    }
}

/// Ends what a command that died had begun, and takes note that a rollback was made.
async fn settle(run: &mut Run<'_>) -> Result<(), Error> {
    cutover::take_back_interrupted(run).await?;
    let state = run.control.state();
    if state.leg.is_some() || state.phase.is_switched() || !state.clients_released {
        cutover::finish(run).await?;
    }
    let state = run.control.state();
    if state.phase == Phase::RolledBack && state.leg.is_some() {
        running::catch_up(run).await?;
    }
    Ok(())
}

/// Compares both sides now, while writers run. Where something was chosen, the result is
/// shown only.
pub async fn verify(
    setting: &Setting<'_>,
    chosen: &Chosen,
    mut mending: Mending<'_>,
) -> Result<VerifyReport, Error> {
    let mut run = claim_following(setting).await?;
    if run.is_over_standby() {
        if !matches!(mending, Mending::None) {
            return Err(Error::Refused {
                why: "a standby cannot be mended: it takes no writes".to_owned(),
                hint: "make it anew from the source".to_owned(),
            });
        }
        return crate::standby::verify(&mut run, chosen).await;
    }
    if let Some(scope) = &chosen.tables {
        refuse_unmatched(setting.plan, scope).await?;
    }
    let mut pauses = Backoff::new(RECONNECT_FIRST, RECONNECT_PAUSE, COMPARED_AGAIN);
    let (mut follow, mut report) = loop {
        let error = match compare(&mut run, chosen).await {
            Ok(compared) => break compared,
            Err(error) => error,
        };
        let may_retry = error.may_retry() && !setting.cancel.is_cancelled();
        let Some(wait) = pauses.next().filter(|_| may_retry) else {
            return Err(choice::refuse_condition(chosen.condition.as_ref(), error));
        };
        let why = error.to_string();
        tracing::warn!(why, "comparing anew");
        setting.observer.notice(Notice::Retry { why: &why, wait });
        // The migration goes on meanwhile in whoever else has it.
        drop(run);
        tokio::time::sleep(wait).await;
        run = claim_following(setting).await?;
    };
    if !report.equal && !matches!(mending, Mending::None) {
        let is_all = chosen.is_everything();
        report = mend(&mut run, &mut follow, report, &mut mending, is_all).await?;
    }
    follow.close(&mut run).await?;
    Ok(report)
}

async fn compare(run: &mut Run<'_>, chosen: &Chosen) -> Result<(Follow, VerifyReport), Error> {
    let selection = if chosen.is_everything() {
        Selection::All
    } else {
        Selection::Chosen(chosen)
    };
    let mut follow = Follow::open(run).await?;
    match verifying::verify(run, &mut follow, &selection).await {
        Ok(report) => Ok((follow, report)),
        Err(error) => {
            subscription::leave_running(run).await;
            Err(error)
        }
    }
}

/// A pattern that matches no table is an error, never an empty success.
async fn refuse_unmatched(plan: &Plan, scope: &Scope) -> Result<(), Error> {
    let doing = "reading the tables";
    let mut source = Session::connect(&plan.source, "catalog")
        .await
        .on(Side::Source, doing)?;
    trunkline_load::tables(&mut source, scope).await?;
    source.close().await;
    Ok(())
}

/// Moves the clients to the target; [`Error::CutoverAborted`] says that the source serves as
/// before.
pub async fn cutover(setting: &Setting<'_>, extent: Extent) -> Result<CutoverReport, Error> {
    let mut run = claim_following(setting).await?;
    if run.control.state().phase == Phase::Switched {
        return Err(Error::Refused {
            why: "clients are switched already; what was left of it is done".to_owned(),
            hint: "`trunkline status` says what is next".to_owned(),
        });
    }
    if run.is_over_standby() {
        return cutover::standby::cutover(&mut run, extent).await;
    }
    let follow = Follow::open(&mut run).await?;
    let report = cutover::cutover(&mut run, follow, extent).await;
    if report.is_err() && !run.control.state().is_pausing() {
        subscription::leave_running(&mut run).await;
    }
    report
}

/// Moves the clients back to the source, with the same proof; [`Error::CutoverAborted`] says
/// that the target serves as before.
pub async fn rollback(setting: &Setting<'_>, extent: Extent) -> Result<CutoverReport, Error> {
    let mut run = setting
        .open(Claim::HandedOver(HAND_OVER_WITHIN), false)
        .await?;
    let died_behind_the_switch = run.control.state().phase == Phase::RolledBack;
    settle(&mut run).await?;
    if run.control.state().phase != Phase::Switched {
        let why = if died_behind_the_switch {
            "clients are on the source again; what was left of the rollback is done".to_owned()
        } else {
            format!(
                "the migration is {}: clients are on the source",
                run.control.state().phase.name()
            )
        };
        return Err(Error::Refused {
            why,
            hint: "`trunkline status` says what is next".to_owned(),
        });
    }
    let follow = Follow::open(&mut run).await?;
    cutover::cutover(&mut run, follow, extent).await
}

/// Gives the migration up.
pub async fn abort(setting: &Setting<'_>, tables: TargetTables) -> Result<EndReport, Error> {
    if ending::finish_removal(setting.plan).await? {
        return Ok(ending::removal_finished(setting.plan));
    }
    let run = setting
        .open(Claim::HandedOver(HAND_OVER_WITHIN), false)
        .await?;
    let aborted = ending::abort(run, tables);
    waiting::told(setting.plan, setting.observer, aborted).await
}

/// Ends the migration after the switch.
pub async fn complete(setting: &Setting<'_>, old: OldDatabase) -> Result<EndReport, Error> {
    let claim = Claim::HandedOver(HAND_OVER_WITHIN);
    let ended = async {
        let run = if old == OldDatabase::Gone {
            let control = reopening::open_alone(setting.plan, claim).await?;
            setting.run_with(control, Pulse::default())
        } else {
            setting.open(claim, false).await?
        };
        let completed = ending::complete(run, old);
        waiting::told(setting.plan, setting.observer, completed).await
    };
    ended.await.map_err(|error| match error {
        Error::Server(fault) if fault.side == Side::Source && fault.cause.sqlstate().is_none() => {
            Error::OldServerAway(fault)
        }
        error => error,
    })
}

/// What a run would do, step by step.
pub async fn plan_steps(plan: &Plan, observer: &dyn Observer) -> Result<Vec<String>, Error> {
    waiting::told(plan, observer, crate::steps::steps(plan)).await
}
