//! The reports: what JSON prints, and what text is made from. `schema_version` counts
//! changes that a reader would notice.

use serde::Serialize;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_verify::{RowDifference, TableVerdict};

use crate::downstream::HandedOver;
use crate::fence::{AfterSwitch, FenceEvidence, Strength};
use crate::phase::{Event, Phase};
use crate::smoke::SmokeOutcome;

/// The version of every report.
pub const SCHEMA_VERSION: u32 = 1;

/// How a cutover ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CutoverOutcome {
    /// Clients belong to the target.
    Switched,
    /// Clients belong to the source again.
    RolledBack,
    /// Everything but the switch was done; the side that served serves on.
    Rehearsed,
    /// It was given up; the side that served serves on.
    Aborted,
}

/// The sequences of a cutover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SequenceCounts {
    /// How many were set.
    pub set: usize,
    /// How many read back as they were set.
    pub verified: usize,
}

/// One table in a cutover's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CutoverTable {
    /// Its name on the target.
    pub table: TableName,
    /// Rows on both sides when it was last found equal.
    pub rows: u64,
    /// The source's position of that comparison.
    pub verified_at: Lsn,
    /// Whether it was compared once more inside the pause, after the last write.
    pub rechecked: bool,
}

/// How long a step took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepTime {
    /// The step.
    pub step: &'static str,
    /// Milliseconds.
    pub ms: f64,
}

/// The proof of a cutover.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CutoverReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The migration.
    pub migration: String,
    /// How it ended.
    pub outcome: CutoverOutcome,
    /// The side that serves the clients now.
    pub serves: Side,
    /// A position after the last write on the side that served.
    pub barrier_lsn: Option<Lsn>,
    /// The position committed on the other side: at or after the barrier.
    pub applied_lsn: Option<Lsn>,
    /// Milliseconds from holding the clients to releasing them.
    pub pause_ms: f64,
    /// Where the milliseconds went.
    pub steps: Vec<StepTime>,
    /// Sequences set and read back.
    pub sequences: SequenceCounts,
    /// Every table.
    pub tables: Vec<CutoverTable>,
    /// Tables that differ: none, or there is no switch.
    pub differences: Vec<TableVerdict>,
    /// Changes that were put aside: none, or there is no switch.
    pub parked_changes: u64,
    /// How the database that clients left stands.
    pub source_after: Option<AfterSwitch>,
    /// How firmly the side that served was fenced.
    pub fence: Option<Strength>,
    /// What was seen while it was.
    pub fence_evidence: Option<FenceEvidence>,
    /// The position on the side that serves now from which changes flow back; none where
    /// there is no way back.
    pub way_back_lsn: Option<Lsn>,
    /// The smoke tests that were run.
    pub smoke: Vec<SmokeOutcome>,
    /// Other consumers' slots, each with where it goes on.
    pub downstream: Vec<HandedOver>,
    /// What a rehearsal found.
    pub rehearsal: Option<Rehearsal>,
    /// Why it was aborted.
    pub reason: Option<String>,
    /// What to do next.
    pub next_steps: Vec<String>,
}

/// What a rehearsal found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rehearsal {
    /// Whether every gate was passed within the longest pause.
    pub go: bool,
    /// Milliseconds from holding the clients to the point of no return: a real switch takes
    /// this, and the time that pointing the clients to the other side takes.
    pub expected_pause_ms: f64,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The migration.
    pub migration: String,
    /// Whether everything is equal.
    pub equal: bool,
    /// The source's position at which both sides were read.
    pub barrier_lsn: Lsn,
    /// The position committed on the target then.
    pub applied_lsn: Lsn,
    /// Rows compared, on the source.
    pub rows: u64,
    /// Every table.
    pub tables: Vec<TableVerdict>,
    /// Those that differ.
    pub differences: Vec<TableVerdict>,
    /// Their rows that differ; of a table with very many, the first 100,000.
    pub row_differences: Vec<RowDifference>,
    /// Whether only some tables or rows were asked for: then nothing is said of the others.
    pub partial: bool,
    /// What the plan leaves out: patterns of tables, and columns. It is not proved.
    pub not_compared: Vec<String>,
    /// What the stream does not carry, and the cutover carries over and compares.
    pub at_cutover: Vec<String>,
    /// Rows that were mended on the target.
    pub mended: Option<u64>,
    /// Rows for which statements that mend them were written.
    pub scripted: Option<u64>,
    /// Seconds.
    pub seconds: f64,
}

impl VerifyReport {
    /// What a comparison of everything means for the migration.
    pub(crate) fn event(&self) -> Event {
        let at = self.barrier_lsn;
        if self.equal {
            Event::FoundEqual { at }
        } else {
            Event::FoundDifferent { at }
        }
    }

    /// With what a later comparison found of some of the tables.
    pub(crate) fn with(mut self, later: VerifyReport) -> VerifyReport {
        let compared = |table: &TableName| later.tables.iter().any(|v| v.table == *table);
        self.tables.retain(|verdict| !compared(&verdict.table));
        self.differences.retain(|verdict| !compared(&verdict.table));
        self.row_differences.retain(|row| !compared(&row.table));
        self.tables.extend(later.tables.iter().cloned());
        self.tables.sort_by(|a, b| a.table.cmp(&b.table));
        self.differences.extend(later.differences);
        self.row_differences.extend(later.row_differences);
        VerifyReport {
            equal: self.differences.is_empty(),
            barrier_lsn: later.barrier_lsn,
            applied_lsn: later.applied_lsn,
            seconds: self.seconds + later.seconds,
            ..self
        }
    }
}

/// How `run`, `clone`, `abort` and `complete` ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The migration.
    pub migration: String,
    /// Where it stands.
    pub phase: Phase,
    /// What was done, a line each.
    pub done: Vec<String>,
    /// What to do next.
    pub next_steps: Vec<String>,
}
