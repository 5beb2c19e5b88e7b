//! The report of a switch, from what was shown.

use std::time::Duration;

use trunkline_verify::TableVerdict;

use super::pause::Proved;
use super::proof::CaughtUp;
use super::stopwatch::Stopwatch;
use crate::fence::AfterSwitch;
use crate::report::{
    CutoverOutcome, CutoverReport, CutoverTable, Rehearsal, SCHEMA_VERSION, SequenceCounts,
    VerifyReport,
};
use crate::run::Run;
use crate::smoke::SmokeOutcome;
use crate::way::Way;

/// The side that served was given back.
pub(super) fn aborted(
    run: &Run<'_>,
    verified: &VerifyReport,
    watch: &Stopwatch,
    pause: Duration,
    why: &str,
) -> CutoverReport {
    let state = run.control.state();
    CutoverReport {
        schema_version: SCHEMA_VERSION,
        migration: run.control.identity().name.clone(),
        outcome: CutoverOutcome::Aborted,
        serves: state.way().from(),
        barrier_lsn: None,
        applied_lsn: None,
        pause_ms: milliseconds(pause),
        steps: watch.steps(),
        sequences: SequenceCounts::default(),
        tables: tables(verified, None, &[]),
        differences: Vec::new(),
        parked_changes: 0,
        source_after: None,
        fence: None,
        fence_evidence: None,
        way_back_lsn: None,
        smoke: Vec::new(),
        downstream: Vec::new(),
        rehearsal: None,
        reason: Some(why.to_owned()),
        next_steps: state.next_steps(false),
    }
}

/// Clients are on the other side.
pub(super) fn switched(
    run: &Run<'_>,
    verified: &VerifyReport,
    proved: &Proved,
    watch: &Stopwatch,
    pause: Duration,
    after: AfterSwitch,
    smoke: Vec<SmokeOutcome>,
) -> CutoverReport {
    let outcome = match run.way() {
        Way::Back => CutoverOutcome::Switched,
        Way::There => CutoverOutcome::RolledBack,
    };
    let mut report = shown(run, verified, proved, watch, pause);
    report.smoke.extend(smoke);
    CutoverReport {
        outcome,
        source_after: Some(after),
        way_back_lsn: proved.onwards,
        downstream: proved.handed_over.clone(),
        ..report
    }
}

/// Everything but the switch was done, and clients went on where they were.
pub(super) fn rehearsed(
    run: &Run<'_>,
    verified: &VerifyReport,
    proved: &Proved,
    watch: &Stopwatch,
    pause: Duration,
    reached: Duration,
) -> CutoverReport {
    CutoverReport {
        outcome: CutoverOutcome::Rehearsed,
        rehearsal: Some(Rehearsal {
            go: true,
            expected_pause_ms: milliseconds(reached),
        }),
        ..shown(run, verified, proved, watch, pause)
    }
}

fn shown(
    run: &Run<'_>,
    verified: &VerifyReport,
    proved: &Proved,
    watch: &Stopwatch,
    pause: Duration,
) -> CutoverReport {
    let caught_up = &proved.caught_up;
    CutoverReport {
        barrier_lsn: Some(caught_up.barrier()),
        applied_lsn: Some(caught_up.applied()),
        sequences: proved.sequences.counts(),
        fence: Some(proved.fenced.strength()),
        fence_evidence: Some(proved.evidence),
        tables: tables(verified, Some(caught_up), &proved.rechecked),
        smoke: proved.smoke.clone(),
        reason: None,
        ..aborted(run, verified, watch, pause, "")
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
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
