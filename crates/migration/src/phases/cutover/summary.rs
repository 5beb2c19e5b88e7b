//! The cutover's report, from what was shown.

use std::time::Duration;

use trunkline_verify::TableVerdict;

use super::pause::Proved;
use super::proof::CaughtUp;
use super::stopwatch::Stopwatch;
use crate::fence::AfterSwitch;
use crate::phase::Phase;
use crate::report::{
    CutoverOutcome, CutoverReport, CutoverTable, SCHEMA_VERSION, SequenceCounts, VerifyReport,
};
use crate::run::Run;
use crate::status::next_steps;

/// The source was given back.
pub(super) fn aborted(
    run: &Run<'_>,
    verified: &VerifyReport,
    watch: &Stopwatch,
    pause: Duration,
    why: &str,
) -> CutoverReport {
    CutoverReport {
        schema_version: SCHEMA_VERSION,
        migration: run.control.identity().name.clone(),
        outcome: CutoverOutcome::Aborted,
        barrier_lsn: None,
        applied_lsn: None,
        pause_ms: pause.as_secs_f64() * 1000.0,
        steps: watch.steps(),
        sequences: SequenceCounts::default(),
        tables: tables(verified, None, &[]),
        differences: Vec::new(),
        parked_changes: 0,
        source_after: None,
        reason: Some(why.to_owned()),
        next_steps: next_steps(run.control.state().phase, false),
    }
}

/// Clients are on the target.
pub(super) fn switched(
    run: &Run<'_>,
    verified: &VerifyReport,
    proved: &Proved,
    watch: &Stopwatch,
    pause: Duration,
    source_after: AfterSwitch,
) -> CutoverReport {
    let caught_up = &proved.caught_up;
    CutoverReport {
        outcome: CutoverOutcome::Switched,
        barrier_lsn: Some(caught_up.barrier()),
        applied_lsn: Some(caught_up.applied()),
        sequences: proved.sequences.counts(),
        tables: tables(verified, Some(caught_up), &proved.rechecked),
        source_after: Some(source_after),
        reason: None,
        next_steps: next_steps(Phase::Switched, false),
        ..aborted(run, verified, watch, pause, "")
    }
}

fn tables(
    verified: &VerifyReport,
    caught_up: Option<&CaughtUp>,
    rechecked: &[TableVerdict],
) -> Vec<CutoverTable> {
    let table = |verdict: &TableVerdict| {
        let again = rechecked.iter().find(|again| again.table == verdict.table);
        CutoverTable {
            table: verdict.table.clone(),
            rows: again.unwrap_or(verdict).source_rows,
            verified_at: match (again, caught_up) {
                (Some(_), Some(caught_up)) => caught_up.barrier(),
                _ => verified.barrier_lsn,
            },
            rechecked: again.is_some(),
        }
    };
    verified.tables.iter().map(table).collect()
}
