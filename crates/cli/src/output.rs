//! Reports on stdout, as text or JSON; errors on stderr (and on stdout where JSON was asked
//! for, so that a script finds them).

mod alone;
mod comparison;
mod relayed;
mod subscription;
mod validation;

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;
use trunkline_migration::Error;
use trunkline_migration::baseline::Latency;
use trunkline_migration::report::{CutoverOutcome, CutoverReport, EndReport, SCHEMA_VERSION};
use trunkline_migration::status::StatusReport;

/// Something that can be printed both ways.
pub(crate) trait Report: Serialize {
    /// For people.
    fn text(&self) -> String;
}

/// Prints a report. A closed pipe is nobody's error.
pub(crate) fn print<R: Report>(report: &R, json: bool) -> Result<(), Error> {
    let text = if json {
        serde_json::to_string_pretty(report).map_err(|error| Error::internal(&error))? + "\n"
    } else {
        report.text()
    };
    print_text(&text);
    Ok(())
}

/// Prints text on stdout as it is.
pub(crate) fn print_text(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _closed = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Prints why a command failed, and what to do.
pub(crate) fn print_error(error: &Error, json: bool) {
    eprintln!("error: {error}");
    let hint = error.hint();
    if let Some(hint) = &hint {
        eprintln!("hint: {hint}");
    }
    if json {
        let mut report = serde_json::json!({
            "schema_version": SCHEMA_VERSION,
            "error": error.to_string(),
            "hint": hint,
            "side": error.side(),
            "exit_code": error.exit_code(),
        });
        if let Error::Preflight(findings) = error {
            report["findings"] = serde_json::json!(findings);
        }
        print_text(&format!("{report:#}\n"));
    }
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{count} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A count with its thousands apart.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn next_steps(text: &mut String, steps: &[String]) {
    for step in steps {
        let _written = writeln!(text, "next: {step}");
    }
}

fn unknown(value: Option<String>) -> String {
    value.unwrap_or_else(|| "unknown".to_owned())
}

impl Report for StatusReport {
    fn text(&self) -> String {
        let running = if self.held { "running" } else { "not running" };
        let mut text = format!(
            "{}: {} ({running}); the {} serves\n",
            self.migration,
            self.phase.name(),
            self.serves
        );
        let seconds = self.lag_seconds.map(|seconds| format!("{seconds:.1} s"));
        for (name, value) in [
            ("clients are on", format!("the {}", self.serves)),
            (
                "rows copied",
                format!(
                    "{} of about {}",
                    thousands(self.rows_copied),
                    thousands(self.rows_total)
                ),
            ),
            ("changes applied", changes_applied(self)),
            (
                "lag",
                format!(
                    "{} / {}",
                    unknown(self.lag_bytes.map(bytes)),
                    unknown(seconds)
                ),
            ),
            ("WAL kept", unknown(self.wal_kept_bytes.map(bytes))),
            ("caught up", self.eta.clone()),
            ("parked changes", thousands(self.parked_changes)),
        ] {
            let _written = writeln!(text, "  {name:<16} {value}");
        }
        if let Some(status) = &self.subscription {
            subscription::text(&mut text, status);
        }
        if let Some(relay) = &self.relay {
            relayed::text(&mut text, relay);
        }
        if let Some(status) = &self.validation {
            validation::text(&mut text, status);
        }
        latencies(&mut text, &self.statements);
        next_steps(&mut text, &self.next_steps);
        text
    }
}

/// Changes applied since clients were last moved. A subscription does not count them.
fn changes_applied(status: &StatusReport) -> String {
    match status.subscription {
        Some(_) => "by the subscription, which does not count them".to_owned(),
        None => thousands(status.rows_applied),
    }
}

/// The application's statements, before the switch and since.
fn latencies(text: &mut String, statements: &[Latency]) {
    if statements.is_empty() {
        return;
    }
    let _written = writeln!(
        text,
        "  mean ms before and after the switch, of the busiest statements:"
    );
    for statement in statements {
        let after = statement
            .mean_ms_after
            .map_or_else(|| "not seen".to_owned(), |ms| format!("{ms:.2}"));
        let before = statement.mean_ms_before;
        let _written = writeln!(text, "  {before:>10.2} {after:>10}  {}", statement.text);
    }
}

impl Report for EndReport {
    fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.migration, self.phase.name());
        for line in &self.done {
            let _written = writeln!(text, "  {line}");
        }
        next_steps(&mut text, &self.next_steps);
        text
    }
}

impl Report for CutoverReport {
    fn text(&self) -> String {
        let ended = match self.outcome {
            CutoverOutcome::Switched => "cutover done",
            CutoverOutcome::RolledBack => "rollback done",
            CutoverOutcome::Rehearsed => "rehearsed, go",
            CutoverOutcome::Aborted => "given up",
        };
        let mut text = format!(
            "{}: {ended}, clients waited {:.0} ms; the {} serves\n",
            self.migration, self.pause_ms, self.serves
        );
        let moved = matches!(
            self.outcome,
            CutoverOutcome::Switched | CutoverOutcome::RolledBack
        );
        let left = if moved {
            self.serves.other()
        } else {
            self.serves
        };
        let reached = left.other();
        let lsn = |lsn: Option<trunkline_changes::Lsn>| unknown(lsn.map(|lsn| lsn.to_string()));
        let rows: u64 = self.tables.iter().map(|table| table.rows).sum();
        let rechecked = self.tables.iter().filter(|table| table.rechecked).count();
        for (name, value) in [
            (
                "barrier",
                format!("{} on the {left}", lsn(self.barrier_lsn)),
            ),
            (
                "applied",
                format!("{} committed on the {reached}", lsn(self.applied_lsn)),
            ),
            (
                "rows",
                format!(
                    "{} in {} tables found equal, {rechecked} of them once more after the last write",
                    thousands(rows),
                    self.tables.len()
                ),
            ),
            (
                "sequences",
                format!(
                    "{} set, {} read back",
                    self.sequences.set, self.sequences.verified
                ),
            ),
            ("differences", self.differences.len().to_string()),
            ("parked changes", self.parked_changes.to_string()),
        ] {
            let _written = writeln!(text, "  {name:<16} {value}");
        }
        for step in &self.steps {
            let _written = writeln!(text, "  {:<16} {:.0} ms", step.step, step.ms);
        }
        for test in &self.smoke {
            let verdict = test.why.as_deref().unwrap_or("passed");
            let _written = writeln!(text, "  smoke test       {}: {verdict}", test.name);
        }
        for slot in &self.downstream {
            let first = if slot.caught_up {
                "everything was read".to_owned()
            } else {
                format!("read the old one up to {} first", slot.barrier_lsn)
            };
            let _written = writeln!(
                text,
                "  consumer         {}: goes on at {} of {} ({first})",
                slot.slot, slot.new_position, slot.new_slot
            );
        }
        if let Some(from) = self.way_back_lsn {
            let _written = writeln!(
                text,
                "  way back         from {from} on the {}",
                self.serves
            );
        }
        if let Some(rehearsal) = &self.rehearsal {
            let pause = rehearsal.expected_pause_ms;
            let _written = writeln!(
                text,
                "  expected pause   {pause:.0} ms and the switch itself"
            );
        }
        if let Some(reason) = &self.reason {
            let _written = writeln!(text, "  because          {reason}");
        }
        next_steps(&mut text, &self.next_steps);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, thousands};

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(12), "12");
        assert_eq!(bytes(1536), "1.5 kB");
        assert_eq!(bytes(12), "12 B");
    }
}
