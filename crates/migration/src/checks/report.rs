//! The findings as text for people.

use std::fmt::Write as _;

use super::finding::{Finding, Severity, Verdict, verdict};

/// The findings grouped by severity, each with its object and its remedy, and the verdict as
/// the last line. Ends with a newline.
pub fn render(findings: &[Finding]) -> String {
    let mut text = String::new();
    for (severity, title) in [
        (Severity::Blocker, "Blockers"),
        (Severity::Warning, "Warnings"),
        (Severity::Notice, "Notices"),
    ] {
        let group: Vec<_> = findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .collect();
        if group.is_empty() {
            continue;
        }
        push_line(&mut text, format_args!("{title} ({})", group.len()));
        for finding in group {
            render_one(&mut text, finding);
        }
        text.push('\n');
    }
    let end = match verdict(findings) {
        Verdict::Ready => "Nothing stands in the way.".to_owned(),
        Verdict::ReadyWithWarnings { warnings } => {
            format!(
                "Nothing stands in the way; {} to read.",
                counted(warnings, "warning")
            )
        }
        Verdict::Blocked { blockers, .. } => {
            format!(
                "{} to mend before the migration can start.",
                counted(blockers, "blocker")
            )
        }
    };
    push_line(&mut text, format_args!("{end}"));
    text
}

fn render_one(text: &mut String, finding: &Finding) {
    let mut head = format!("  {}", finding.code);
    if let Some(side) = finding.side {
        // Writing to a String cannot fail.
        let _ = write!(head, " [{side}]");
    }
    if let Some(object) = &finding.object {
        let _ = write!(head, " {object}");
    }
    push_line(text, format_args!("{head}"));
    push_line(text, format_args!("    {}", finding.message));
    for (index, line) in finding
        .remedy
        .iter()
        .flat_map(|remedy| remedy.lines())
        .enumerate()
    {
        let lead = if index == 0 { "mend:" } else { "     " };
        push_line(text, format_args!("    {lead} {line}"));
    }
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// `1 blocker`, `2 blockers`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Finding;
    use super::render;
    use trunkline_changes::Side;

    #[test]
    fn a_report_groups_by_severity_and_ends_with_the_verdict() {
        let findings = [
            Finding::notice("size", "about 3 GB"),
            Finding::blocker("wal-level", "wal_level is replica")
                .on(Side::Source)
                .about("wal_level")
                .mend("ALTER SYSTEM SET wal_level = logical;\n-- then restart the server"),
        ];
        let expected = "\
Blockers (1)
  wal-level [source] wal_level
    wal_level is replica
    mend: ALTER SYSTEM SET wal_level = logical;
          -- then restart the server

Notices (1)
  size
    about 3 GB

1 blocker to mend before the migration can start.
";
        assert_eq!(render(&findings), expected);
    }

    #[test]
    fn an_empty_report_says_that_all_is_well() {
        assert_eq!(render(&[]), "Nothing stands in the way.\n");
    }
}
