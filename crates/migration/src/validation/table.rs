//! What is known of one table while it is validated, as the control schema holds it.

use serde::Serialize;
use trunkline_changes::{Lsn, TableName};
use trunkline_postgres::{DataRow, PgError};

use crate::limits::{RATE_KNOWN_AFTER, RATE_KNOWN_AFTER_SHARE};

/// How far the validation of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationState {
    /// Not begun.
    Pending,
    /// Part after part is compared.
    Running,
    /// Every row was found equal.
    Matched,
    /// Rows differ: `trunkline.validation_failures` names them.
    Differing,
    /// Rows were written to all the time: they are settled at one common position.
    Busy,
    /// Like busy, of a table without a key, whose rows cannot be looked at one by one.
    NoKey,
    /// The table is not as it was: a column or the table itself is gone.
    Suspended,
    /// It could not be read.
    Error,
}

impl ValidationState {
    /// As the control schema writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ValidationState::Pending => "pending",
            ValidationState::Running => "running",
            ValidationState::Matched => "matched",
            ValidationState::Differing => "differing",
            ValidationState::Busy => "busy",
            ValidationState::NoKey => "no_key",
            ValidationState::Suspended => "suspended",
            ValidationState::Error => "error",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        use ValidationState::{
            Busy, Differing, Error, Matched, NoKey, Pending, Running, Suspended,
        };
        [
            Pending, Running, Matched, Differing, Busy, NoKey, Suspended, Error,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }

    /// Whether a reading of the table is still to be begun or ended.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, ValidationState::Pending | ValidationState::Running)
    }
}

/// A table's validation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableValidation {
    /// The table, by its name on the side that changes go to.
    pub table: TableName,
    /// How far it is.
    pub state: ValidationState,
    /// Rows, as the statistics estimate them.
    pub rows_total: u64,
    /// Rows compared in the reading that is under way, or was the last.
    pub rows_compared: u64,
    /// Rows that changed since and were compared again.
    pub rows_rechecked: u64,
    /// Rows that differ.
    pub rows_differing: u64,
    /// Rows that were written to all the time.
    pub rows_busy: u64,
    /// How long its statements took on the side that changes come from.
    pub source_seconds: f64,
    /// Every change up to this position was seen.
    pub position: Option<Lsn>,
    /// Why it could not be read.
    pub note: Option<String>,
    /// Whole readings that were ended.
    pub rounds: u32,
    /// When the reading began and when something was recorded last, in seconds since 1970.
    #[serde(skip)]
    pub(crate) span: Option<(f64, f64)>,
    /// Where it goes on.
    #[serde(skip)]
    pub(crate) above: Option<String>,
}

impl TableValidation {
    /// From a row of `sql/validation/status.sql`.
    pub(crate) fn read(row: &DataRow) -> Result<Self, PgError> {
        let state: String = row.get(2)?;
        Ok(TableValidation {
            table: row.table_name(0, 1)?,
            state: ValidationState::from_name(&state).ok_or_else(|| PgError::Conversion {
                what: "a table's state of validation".to_owned(),
                why: format!("one that this version knows, not `{state}`"),
            })?,
            rows_total: row.get(3)?,
            rows_compared: row.get(4)?,
            rows_rechecked: row.get(5)?,
            rows_differing: row.get(6)?,
            rows_busy: row.get(7)?,
            source_seconds: row.get(8)?,
            position: row.get(9)?,
            note: row.get(10)?,
            rounds: row.get(11)?,
            span: match (row.get(12)?, row.get(13)?) {
                (Some(began), Some(updated)) => Some((began, updated)),
                _ => None,
            },
            above: row.get(14)?,
        })
    }
}

/// All tables together, for people and programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ValidationStatus {
    /// Tables by state.
    pub states: std::collections::BTreeMap<ValidationState, usize>,
    /// Rows compared.
    pub rows_compared: u64,
    /// Rows to compare, as the statistics estimate them.
    pub rows_total: u64,
    /// Rows that changed since they were compared, and were compared again.
    pub rows_rechecked: u64,
    /// Rows that differ: `trunkline.validation_failures` names them.
    pub rows_differing: u64,
    /// Rows a second, while tables are read.
    pub rows_per_second: Option<u64>,
    /// Seconds until every table was read once; none while the rate is not known.
    pub eta_seconds: Option<u64>,
    /// The share of the time of one session that all workers together took on the side that
    /// changes come from, since the reading began.
    pub source_share: Option<f64>,
    /// The tables that did not match, and those under way.
    pub tables: Vec<TableValidation>,
}

impl ValidationStatus {
    /// Adds the tables up.
    pub(crate) fn of(tables: Vec<TableValidation>) -> Self {
        let mut status = ValidationStatus::default();
        let mut source = 0.0_f64;
        for table in &tables {
            *status.states.entry(table.state).or_default() += 1;
            status.rows_compared += table.rows_compared;
            status.rows_total += table.rows_total.max(table.rows_compared);
            status.rows_rechecked += table.rows_rechecked;
            status.rows_differing += table.rows_differing;
            source += table.source_seconds;
        }
        let seconds = seconds_of(&tables);
        let is_open = tables.iter().any(|table| table.state.is_open());
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people, never negative"
        )]
        if seconds > 0.0 && status.rows_compared > 0 {
            let rate = status.rows_compared as f64 / seconds;
            let left = status.rows_total.saturating_sub(status.rows_compared) as f64;
            status.rows_per_second = is_open.then_some(rate as u64);
            // The first tables say little of the rest.
            let is_known = status.rows_compared >= status.rows_total / RATE_KNOWN_AFTER_SHARE
                || seconds >= RATE_KNOWN_AFTER.as_secs_f64();
            status.eta_seconds = (is_open && is_known).then(|| (left / rate) as u64);
            status.source_share = Some(source / seconds);
        }
        status.tables = tables;
        let told = |table: &TableValidation| {
            !matches!(
                table.state,
                ValidationState::Matched | ValidationState::Pending
            )
        };
        status.tables.retain(told);
        status
    }
}

/// From the first table's beginning to what was recorded last.
fn seconds_of(tables: &[TableValidation]) -> f64 {
    let spans = tables.iter().filter_map(|table| table.span);
    let (began, updated) = spans.fold((f64::MAX, f64::MIN), |(began, updated), span| {
        (began.min(span.0), updated.max(span.1))
    });
    (updated - began).max(0.0)
}
