//! One finding of the preflight, and what a list of them means for the migration.

use std::fmt::Display;

use serde::Serialize;
use trunkline_changes::Side;

/// How grave a finding is. The order is the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The migration would fail or lose something: mend it first.
    Blocker,
    /// It works, with a consequence that somebody has to accept or see to.
    Warning,
    /// Worth knowing.
    Notice,
}

/// Something that the preflight found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of finding, such as `wal-level`; stable, for scripts.
    pub code: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// The server that it is about; `None` when it is about both or about neither.
    pub side: Option<Side>,
    /// The table, role, setting or other object, readable.
    pub object: Option<String>,
    /// What was found and what follows from it.
    pub message: String,
    /// The SQL or the setting that mends it, to be run on `side`.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Finding {
            code,
            severity,
            side: None,
            object: None,
            message: message.into(),
            remedy: None,
        }
    }

    pub(super) fn blocker(code: &'static str, message: impl Into<String>) -> Self {
        Finding::new(code, Severity::Blocker, message)
    }

    pub(super) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Finding::new(code, Severity::Warning, message)
    }

    pub(super) fn notice(code: &'static str, message: impl Into<String>) -> Self {
        Finding::new(code, Severity::Notice, message)
    }

    pub(super) fn on(mut self, side: Side) -> Self {
        self.side = Some(side);
        self
    }

    pub(super) fn about(mut self, object: impl Display) -> Self {
        self.object = Some(object.to_string());
        self
    }

    pub(super) fn mend(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Findings about one side.
pub(super) fn all_on(findings: impl IntoIterator<Item = Finding>, side: Side) -> Vec<Finding> {
    let all = findings.into_iter();
    all.map(|finding| finding.on(side)).collect()
}

/// What a list of findings means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Nothing stands in the way.
    Ready,
    /// Nothing stands in the way, and this many warnings are to be read.
    ReadyWithWarnings {
        /// How many.
        warnings: usize,
    },
    /// This many findings must be mended first.
    Blocked {
        /// How many blockers.
        blockers: usize,
        /// How many warnings beside them.
        warnings: usize,
    },
}

impl Verdict {
    /// Whether the migration may go on.
    pub fn may_go_on(self) -> bool {
        !matches!(self, Verdict::Blocked { .. })
    }
}

/// What a list of findings means.
pub fn verdict(findings: &[Finding]) -> Verdict {
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    match (count(Severity::Blocker), count(Severity::Warning)) {
        (0, 0) => Verdict::Ready,
        (0, warnings) => Verdict::ReadyWithWarnings { warnings },
        (blockers, warnings) => Verdict::Blocked { blockers, warnings },
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Verdict, verdict};

    #[test]
    fn one_blocker_blocks_whatever_else_there_is() {
        let (blocker, warning) = (Finding::blocker("a", "a"), Finding::warning("b", "b"));
        let notice = Finding::notice("c", "c");
        assert_eq!(verdict(&[]), Verdict::Ready);
        assert_eq!(verdict(std::slice::from_ref(&notice)), Verdict::Ready);
        assert_eq!(
            verdict(&[warning.clone(), notice]),
            Verdict::ReadyWithWarnings { warnings: 1 }
        );
        let all = [warning, blocker];
        assert_eq!(
            verdict(&all),
            Verdict::Blocked {
                blockers: 1,
                warnings: 1
            }
        );
        assert!(!verdict(&all).may_go_on());
    }
}
