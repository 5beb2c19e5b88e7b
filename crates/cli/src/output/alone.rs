//! The report of two databases compared as they are, for people: what differs first, then
//! what could not be read, then what does not count, and the verdict.

use std::fmt::Write as _;

use trunkline_migration::alone::{
    AloneReport, LargeObjectsReport, NotCompared, SequenceOutcome, SequencePosition,
    SequenceReport, Uncompared,
};
use trunkline_migration::{ObjectKind, Outcome, SchemaChange, SchemaDifference};

use super::comparison::different_table;
use super::{Report, thousands};

/// Large objects that are shown; `--json` has more.
const LARGE_OBJECTS_SHOWN: usize = 20;

impl Report for AloneReport {
    fn text(&self) -> String {
        let mut text = String::new();
        tables_that_differ(&mut text, self);
        for sequence in &self.sequence_differences {
            sequence_line(&mut text, sequence);
        }
        if let Some(objects) = &self.large_objects {
            large_objects(&mut text, objects);
        }
        let (certain, uncertain): (Vec<_>, Vec<_>) = self
            .schema_differences
            .iter()
            .filter(|difference| !is_named(self, difference))
            .partition(|difference| difference.certain);
        for difference in certain {
            let _written = writeln!(text, "structure: {difference}");
        }
        for error in &self.errors {
            error_line(&mut text, error);
        }
        for difference in uncertain {
            let _written = writeln!(text, "structure, does not count: {difference}");
        }
        remarks(&mut text, self);
        verdict(&mut text, self);
        text
    }
}

fn tables_that_differ(text: &mut String, report: &AloneReport) {
    for missing in &report.missing_tables {
        let _written = writeln!(text, "missing on the {}: {}", missing.on, missing.table);
    }
    let missing = [Outcome::MissingOnSource, Outcome::MissingOnTarget];
    let there = report.differences.iter();
    for verdict in there.filter(|verdict| !missing.contains(&verdict.outcome)) {
        different_table(text, verdict, &report.row_differences);
    }
}

/// Whether a table or sequence that one side lacks was named already.
fn is_named(report: &AloneReport, difference: &SchemaDifference) -> bool {
    if matches!(difference.change, SchemaChange::Differs { .. }) {
        return false;
    }
    let plain = |name: &dyn std::fmt::Display| name.to_string().replace('"', "");
    let object = plain(&difference.object);
    match difference.kind {
        ObjectKind::Table => {
            let mut missing = report.missing_tables.iter();
            missing.any(|missing| plain(&missing.table) == object)
        }
        ObjectKind::Sequence => {
            let mut differ = report.sequence_differences.iter();
            differ.any(|sequence| plain(&sequence.sequence) == object)
        }
        _ => false,
    }
}

fn remarks(text: &mut String, report: &AloneReport) {
    for column in &report.columns_left_out {
        let _written = writeln!(
            text,
            "compared without the column {} of {}, which the {} does not have",
            column.column, column.table, column.missing_on
        );
    }
    if !report.busy_rows.is_empty() {
        let rows = report.busy_rows.iter();
        let mut tables: Vec<String> = rows.map(|row| row.table.to_string()).collect();
        tables.dedup();
        let _written = writeln!(
            text,
            "busy: {} rows that differed moved from look to look, and do not count: {}",
            thousands(report.busy_rows.len() as u64),
            tables.join(", ")
        );
    }
    if report.partial {
        let _written = writeln!(text, "only what was chosen was compared");
    }
}

fn verdict(text: &mut String, report: &AloneReport) {
    let verdict = if report.equal {
        "equal"
    } else if report.differs() {
        "NOT equal"
    } else {
        "not all compared; the rest is equal"
    };
    let (tables, rows) = (report.tables.len(), thousands(report.rows));
    let seconds = report.seconds;
    let _written = writeln!(
        text,
        "{verdict}: {tables} tables, {rows} rows compared in {seconds:.1} s"
    );
}

fn sequence_line(text: &mut String, report: &SequenceReport) {
    let name = &report.sequence;
    let at = |position: Option<SequencePosition>| match position {
        None => "unknown".to_owned(),
        Some(SequencePosition {
            last_value,
            is_called: true,
        }) => last_value.to_string(),
        Some(SequencePosition { last_value, .. }) => format!("before {last_value}"),
    };
    let (source, target) = (at(report.source), at(report.target));
    let how = match report.outcome {
        SequenceOutcome::MissingOnTarget => "missing on the target".to_owned(),
        SequenceOutcome::MissingOnSource => "missing on the source".to_owned(),
        SequenceOutcome::Parameters => "other parameters".to_owned(),
        SequenceOutcome::Behind => {
            format!("behind on the target ({target}, and {source} on the source)")
        }
        SequenceOutcome::Ahead => {
            format!("ahead on the target ({target}, and {source} on the source)")
        }
    };
    let _written = writeln!(text, "sequence {name}: {how}");
}

fn large_objects(text: &mut String, report: &LargeObjectsReport) {
    if report.differing == 0 {
        return;
    }
    let _written = writeln!(
        text,
        "large objects: {} differ ({} on the source, {} on the target)",
        thousands(report.differing),
        thousands(report.source),
        thousands(report.target)
    );
    for object in report.differences.iter().take(LARGE_OBJECTS_SHOWN) {
        let _written = writeln!(text, "  {} {}", object.kind.name(), object.oid);
    }
    let more = report.differing.saturating_sub(LARGE_OBJECTS_SHOWN as u64);
    if more > 0 {
        let _written = writeln!(text, "  and {} more", thousands(more));
    }
}

fn error_line(text: &mut String, error: &NotCompared) {
    let name = error.name.as_ref().map(ToString::to_string);
    let what = match (error.kind, name) {
        (Uncompared::Sequence, Some(name)) => format!("sequence {name}"),
        (_, Some(name)) => name,
        (_, None) => "large objects".to_owned(),
    };
    let _written = writeln!(text, "not compared: {what}: {}: {}", error.side, error.why);
}
