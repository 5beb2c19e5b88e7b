//! Following → Verified: the rows of both sides compared while the source is written.
//!
//! Nothing can pair the snapshots of a source and its standby, so what is compared is as with
//! any two databases: first the standby replays all that the source had written, then every
//! table is read on both sides, and rows that differ are looked at again until they are equal
//! or have stayed different for two looks in a row. Inside the pause, at rest, tables are
//! compared exactly.

use std::time::Duration;

use trunkline_changes::Lsn;

use super::watch::Watch;
use crate::alone::{AloneReport, AloneRequest, Parts, verify_alone};
use crate::choice::Chosen;
use crate::commands::Setting;
use crate::error::Error;
use crate::limits::{COMPARE_AGAIN, STANDBY_SETTLE};
use crate::observer::Notice;
use crate::report::{SCHEMA_VERSION, VerifyReport};
use crate::run::Run;

/// Compares; what was found of everything is recorded.
pub(crate) async fn verify(run: &mut Run<'_>, chosen: &Chosen) -> Result<VerifyReport, Error> {
    run.step("comparing both sides");
    let mut tries = 0;
    let (point, applied, found) = loop {
        tries += 1;
        let mut watch = Watch::open(run).await?;
        let (point, applied) = watch.until_replayed(run).await?;
        watch.close().await;
        let found = compare(run, chosen, STANDBY_SETTLE).await?;
        let again = !unread(&found).is_empty() || differs(&found);
        if !again || tries > COMPARE_AGAIN {
            break (point, applied, found);
        }
        run.observer.notice(Notice::Warning(
            "some tables differ or could not be read (a standby cancels queries that its replay \
             waits for): they are compared again",
        ));
    };
    let unread = unread(&found);
    if !unread.is_empty() {
        return Err(Error::Refused {
            why: format!("could not be compared: {}", unread.join("; ")),
            hint: "if the standby cancelled the query, set hot_standby_feedback = on there or \
                   raise max_standby_streaming_delay; else grant the right that is named"
                .to_owned(),
        });
    }
    let report = VerifyReport {
        partial: !chosen.is_everything(),
        ..report(run, point, applied, found)
    };
    if chosen.is_everything() {
        run.control.moved(report.event()).await?;
    }
    Ok(report)
}

async fn compare(run: &Run<'_>, chosen: &Chosen, settle: Duration) -> Result<AloneReport, Error> {
    let setting = Setting {
        plan: run.plan,
        observer: run.observer,
        cancel: run.cancel.clone(),
    };
    let request = AloneRequest {
        chosen: chosen.clone(),
        // The catalog comes by the same log as the rows.
        parts: Parts::Contents,
        settle,
    };
    verify_alone(&setting, &request)
        .await
        .map_err(|error| match error {
            Error::Stopped => Error::Interrupted(run.control.state().phase),
            error => error,
        })
}

/// Sequences are compared in the pause: under writes a standby is ahead of the numbers that
/// its source has given out, and behind in time.
fn differs(found: &AloneReport) -> bool {
    let large_objects = found.large_objects.as_ref();
    !found.differences.is_empty() || large_objects.is_some_and(|found| found.differing > 0)
}

/// What could not be read, but for unlogged tables: a standby has none of their rows.
fn unread(found: &AloneReport) -> Vec<String> {
    let errors = found.errors.iter();
    errors
        .filter(|error| !error.is_unlogged_on_standby())
        .map(|error| {
            let name = error.name.as_ref().map(ToString::to_string);
            let name = name.unwrap_or_else(|| "large objects".to_owned());
            format!("{name} on the {}: {}", error.side, error.why)
        })
        .collect()
}

fn report(run: &Run<'_>, point: Lsn, applied: Lsn, found: AloneReport) -> VerifyReport {
    let equal = !differs(&found);
    let unlogged = found.errors.iter().filter_map(|error| error.name.as_ref());
    let unlogged = unlogged.map(|name| format!("{name} (unlogged)"));
    let mut at_cutover: Vec<String> = unlogged.collect();
    at_cutover.push("sequences".to_owned());
    VerifyReport {
        schema_version: SCHEMA_VERSION,
        migration: run.control.identity().name.clone(),
        equal,
        barrier_lsn: point,
        applied_lsn: applied,
        rows: found.rows,
        tables: found.tables,
        differences: found.differences,
        row_differences: found.row_differences,
        partial: false,
        not_compared: run.plan.validation.not_compared(),
        at_cutover,
        mended: None,
        scripted: None,
        seconds: found.seconds,
    }
}
