//! What a running command shows on stderr: bars on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use trunkline_load::Progress as Copied;
use trunkline_migration::status::{Arrival, FollowStatus};
use trunkline_migration::{Notice, Observer, Outcome, Phase};

use crate::output::{bytes, thousands};

/// Between two lines of the same kind where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Tables named beside the bar.
const TABLES_NAMED: usize = 3;

/// Shows what a command does.
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    phase: Option<Phase>,
    last_line: Option<Instant>,
    copy_began: Option<Instant>,
}

impl Progress {
    /// On stderr; `json` means that no terminal is watched.
    pub(crate) fn new(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !json;
        let bar = if terminal {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if terminal {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress {
            bar,
            terminal,
            shown: Mutex::default(),
        }
    }

    /// Whether the migration was seen past its preflight.
    pub(crate) fn has_begun(&self) -> bool {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.phase.is_some_and(|phase| phase != Phase::Planned)
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, text: &str) {
        if self.terminal {
            self.bar.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    /// A line that comes again and again: on a terminal beside the bar, elsewhere now and
    /// then.
    fn state(&self, text: String) {
        if self.terminal {
            self.bar.set_message(text);
            return;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.last_line.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            shown.last_line = Some(Instant::now());
            eprintln!("{text}");
        }
    }

    fn phase(&self, phase: Phase) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.phase == Some(phase) {
            return;
        }
        shown.phase = Some(phase);
        shown.last_line = None;
        drop(shown);
        self.bar.set_style(ProgressStyle::default_spinner());
        self.line(&format!("== {}", phase.name()));
    }

    /// Whether a line of the kind would be shown now. It is asked five times a second; with
    /// 200,000 tables, making one that nobody sees would take a part of a core.
    fn is_due(&self) -> bool {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = shown.last_line.is_none_or(|at| at.elapsed() >= LINE_EVERY);
        self.terminal || waited
    }

    fn copy(&self, copied: &Copied) {
        if !self.is_due() {
            return;
        }
        let totals = copied.totals();
        let began = {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            *shown.copy_began.get_or_insert_with(Instant::now)
        };
        let seconds = began.elapsed().as_secs_f64().max(0.1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let (rate, left) = {
            let rate = totals.bytes as f64 / seconds;
            let settled = totals.settled_bytes as f64 / seconds;
            let rest = totals.expected_bytes.saturating_sub(totals.settled_bytes) as f64;
            (
                rate as u64,
                (settled > 0.0).then(|| (rest / settled) as u64),
            )
        };
        if self.terminal && totals.expected_bytes > 0 {
            let style = ProgressStyle::with_template("[{bar:30}] {percent:>3}% {msg}");
            self.bar
                .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar.set_length(totals.expected_bytes);
            self.bar
                .set_position(totals.settled_bytes.min(totals.expected_bytes));
        }
        let copying = copied.copying(TABLES_NAMED);
        let busy: Vec<String> = copying
            .iter()
            .map(|table| format!("{} {}", table.name, thousands(table.rows())))
            .collect();
        let left = left.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds} s"));
        self.state(format!(
            "{} rows, {} at {}/s, {left} left; tables {}/{}, indexes {}/{} {}",
            thousands(totals.rows),
            bytes(totals.bytes),
            bytes(rate),
            copied.copied.done(),
            copied.copied.total(),
            copied.indexes.done(),
            copied.indexes.total(),
            busy.join(", "),
        ));
    }

    fn follow(&self, status: &FollowStatus) {
        self.bar.set_style(ProgressStyle::default_spinner());
        let arrival = match status.arrival {
            Arrival::Now => "caught up".to_owned(),
            Arrival::In { seconds } => format!("caught up in {seconds} s"),
            Arrival::Never => "never caught up at this rate".to_owned(),
            Arrival::Unknown => "measuring".to_owned(),
        };
        self.state(format!(
            "following ({}): lag {}, {} changes applied, {arrival}",
            status.mode,
            bytes(status.lag_bytes),
            thousands(status.rows_applied),
        ));
    }
}

impl Observer for Progress {
    fn notice(&self, notice: Notice<'_>) {
        match notice {
            Notice::Phase(phase) => self.phase(phase),
            Notice::Step(step) => self.line(&format!("   {step}")),
            Notice::Copy(copied) => self.copy(copied),
            Notice::Follow(status) => self.follow(status),
            Notice::Validated { rows, tables, of } => self.state(format!(
                "compared {} rows; tables {tables}/{of}",
                thousands(rows)
            )),
            Notice::Differs(tables) => {
                for table in tables {
                    let rows = thousands(table.rows_differing);
                    self.line(&format!("   {} DIFFERS, rows: {rows}", table.table));
                }
            }
            Notice::Compared { verdict, done, of } => {
                if verdict.matched() {
                    self.state(format!(
                        "compared {done} of {of} tables: {} equal",
                        verdict.table
                    ));
                } else if verdict.outcome == Outcome::Disturbed {
                    self.line(&format!("   {} was emptied meanwhile", verdict.table));
                } else {
                    self.line(&format!("   {} DIFFERS", verdict.table));
                }
            }
            Notice::Retry { why, wait } => {
                self.line(&format!("   {why}; again in {:.1} s", wait.as_secs_f64()));
            }
            Notice::Warning(warning) => self.line(&format!("   warning: {warning}")),
        }
    }
}
