//! The part of `run` that compares: every table once, then what changes.

use crate::error::Error;
use crate::follow::{Follow, Goal, Reached};
use crate::observer::Notice;
use crate::phase::Event;
use crate::phases::verifying::{self, Selection};
use crate::run::Run;
use crate::validation::{self, Reading, Validation};
use crate::way::Way;

/// What a reading of every table has shown.
pub(super) enum Validated {
    /// Every row is equal.
    Equal,
    /// These differ.
    Different(Vec<String>),
    /// It is not at its end: somebody else wants the migration.
    Wanted,
}

/// Reads every table once while changes flow, from where an earlier run was interrupted; what
/// was written to all the time is settled at one position in the end.
pub(super) async fn validate(run: &mut Run<'_>) -> Result<Validated, Error> {
    let mut follow = Follow::open(run).await?;
    verifying::refuse_gaps(run, &mut follow).await?;
    let near = Goal::Near(run.plan.cutover.max_lag_bytes);
    follow.until(run, near).await?;
    run.step("comparing both sides");
    let validation = Validation::start(run, &mut follow, Reading::WhatDidNotMatch).await?;
    let reached = follow.until(run, Goal::Validated).await;
    validation.stop().await;
    if reached? == Reached::Wanted {
        follow.close(run).await?;
        return Ok(Validated::Wanted);
    }
    let leg = follow.leg().number;
    let unsettled = validation::unsettled(run, leg).await?;
    if !unsettled.is_empty() {
        verifying::verify(run, &mut follow, &Selection::Targets(&unsettled)).await?;
    }
    let at = follow.applied();
    follow.close(run).await?;
    let different = validation::not_equal(run, leg).await?;
    if different.is_empty() {
        run.control.moved(Event::FoundEqual { at }).await?;
        return Ok(Validated::Equal);
    }
    run.control.moved(Event::FoundDifferent { at }).await?;
    run.observer.notice(Notice::Differs(&different));
    let names = different.iter().map(|table| table.table.to_string());
    Ok(Validated::Different(names.collect()))
}

/// Rows that change are compared again, until the switch.
pub(super) async fn keep_validating(
    run: &mut Run<'_>,
    follow: &mut Follow,
) -> Result<Option<Validation>, Error> {
    if !run.plan.validation.continuous || follow.leg().way == Way::Back || follow.is_native() {
        return Ok(None);
    }
    Ok(Some(
        Validation::start(run, follow, Reading::WhatIsLeft).await?,
    ))
}

/// Compares everything at one position, where nobody names what changes.
pub(super) async fn compare(run: &mut Run<'_>) -> Result<Validated, Error> {
    let mut follow = Follow::open(run).await?;
    let report = verifying::verify(run, &mut follow, &Selection::All).await?;
    follow.close(run).await?;
    if report.equal {
        return Ok(Validated::Equal);
    }
    let names = report.differences.iter();
    let names = names.map(|verdict| verdict.table.to_string());
    Ok(Validated::Different(names.collect()))
}
