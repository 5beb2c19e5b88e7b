//! How far validation is, for people.

use std::fmt::Write as _;

use trunkline_migration::{ValidationState, ValidationStatus};

use super::thousands;

/// Tables that are named.
const TABLES_NAMED: usize = 10;

pub(super) fn text(text: &mut String, status: &ValidationStatus) {
    let states: Vec<String> = status
        .states
        .iter()
        .map(|(state, tables)| format!("{tables} {}", state.name().replace('_', " ")))
        .collect();
    let _written = writeln!(text, "  validated        tables: {}", states.join(", "));
    let mut rows = format!(
        "{} of about {} rows, {} again since they changed",
        thousands(status.rows_compared),
        thousands(status.rows_total),
        thousands(status.rows_rechecked),
    );
    if let Some(rate) = status.rows_per_second {
        let _written = write!(rows, ", {}/s", thousands(rate));
    }
    if let Some(seconds) = status.eta_seconds {
        let _written = write!(rows, ", {seconds} s left");
    }
    if let Some(share) = status.source_share {
        let _written = write!(rows, "; {:.0}% of a session of the source", share * 100.0);
    }
    let _written = writeln!(text, "                   {rows}");
    if status.rows_differing > 0 {
        let _written = writeln!(
            text,
            "  rows that differ {}: trunkline.validation_failures on the target names them",
            thousands(status.rows_differing)
        );
    }
    for table in status.tables.iter().take(TABLES_NAMED) {
        let what = match table.state {
            ValidationState::Running => format!(
                "{} of about {} rows",
                thousands(table.rows_compared),
                thousands(table.rows_total)
            ),
            ValidationState::Differing => {
                format!("{} rows differ", thousands(table.rows_differing))
            }
            _ => table.note.clone().unwrap_or_default(),
        };
        let state = table.state.name().replace('_', " ");
        let _written = writeln!(text, "    {} {state} {what}", table.table);
    }
    let more = status.tables.len().saturating_sub(TABLES_NAMED);
    if more > 0 {
        let _written = writeln!(text, "    and {more} more, which --json names");
    }
}
