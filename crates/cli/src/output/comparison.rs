//! A comparison's report for people: what differs first, table by table and row by row.

use std::fmt::Write as _;

use trunkline_migration::report::VerifyReport;
use trunkline_migration::{Outcome, RowDifference, TableVerdict};

use super::{Report, thousands};

/// Rows that are shown of a table; `--json` has more.
const SHOWN_OF_A_TABLE: usize = 20;

impl Report for VerifyReport {
    fn text(&self) -> String {
        let mut text = String::new();
        for verdict in &self.differences {
            different_table(&mut text, verdict, &self.row_differences);
        }
        for (what, rows) in [("mended", self.mended), ("in the script", self.scripted)] {
            if let Some(rows) = rows {
                let _written = writeln!(text, "rows {what}: {}", thousands(rows));
            }
        }
        if !self.not_compared.is_empty() {
            let left_out = self.not_compared.join(", ");
            let _written = writeln!(text, "not compared: {left_out}");
        }
        if !self.at_cutover.is_empty() {
            let later = self.at_cutover.join(", ");
            let _written = writeln!(text, "carried over and compared at the cutover: {later}");
        }
        if self.partial {
            text.push_str("only what was chosen was compared\n");
        }
        let (tables, rows) = (self.tables.len(), thousands(self.rows));
        let verdict = if self.equal { "equal" } else { "NOT equal" };
        let _written = writeln!(
            text,
            "{verdict}: {tables} tables, {rows} rows compared at {} in {:.1} s",
            self.barrier_lsn, self.seconds,
        );
        text
    }
}

/// A table that differs, with the first of its rows that do.
pub(super) fn different_table(text: &mut String, verdict: &TableVerdict, rows: &[RowDifference]) {
    let differing = &verdict.differing;
    let kinds = [
        ("missing", differing.missing),
        ("extra", differing.extra),
        ("different", differing.different),
        ("duplicated", differing.duplicated),
    ];
    let kinds = kinds.into_iter().filter(|(_, rows)| *rows > 0);
    let kinds: Vec<String> = kinds
        .map(|(kind, rows)| format!("{} {kind}", thousands(rows)))
        .collect();
    let why = match verdict.outcome {
        Outcome::Disturbed => "emptied again and again while it was compared".to_owned(),
        _ if kinds.is_empty() => "contents differ".to_owned(),
        _ => kinds.join(", "),
    };
    let _written = writeln!(
        text,
        "different: {}: {why} ({} rows on the source, {} on the target)",
        verdict.table,
        thousands(verdict.source_rows),
        thousands(verdict.target_rows),
    );
    let of_table = || rows.iter().filter(|row| row.table == verdict.table);
    for row in of_table().take(SHOWN_OF_A_TABLE) {
        let _written = writeln!(text, "  {}", row_line(row));
    }
    let shown = of_table().take(SHOWN_OF_A_TABLE).count() as u64;
    let more = differing.total().saturating_sub(shown);
    if shown > 0 && more > 0 {
        let _written = writeln!(text, "  and {} more", thousands(more));
    }
}

fn row_line(row: &RowDifference) -> String {
    let name = if row.key.is_empty() {
        let place = row.target.as_ref().or(row.source.as_ref());
        let side = if row.target.is_some() {
            "target"
        } else {
            "source"
        };
        place.map_or(String::new(), |place| {
            format!("ctid {} on the {side}", place.ctid)
        })
    } else {
        let part = |part: &trunkline_migration::KeyValue| {
            format!(
                "{} = {}",
                part.column,
                part.value.as_deref().unwrap_or("NULL")
            )
        };
        row.key.iter().map(part).collect::<Vec<_>>().join(", ")
    };
    let columns = if row.columns.is_empty() {
        String::new()
    } else {
        format!(": {}", row.columns.join(", "))
    };
    format!("{} {name}{columns}", row.kind.name())
}
