//! What `status` shows of changes of the source's structure.

use std::fmt::Write as _;

use trunkline_migration::status::DdlStatus;

/// As many as fit a screen.
const SHOWN: usize = 10;

/// The line of counts, and what an operator is to look at.
pub(super) fn text(text: &mut String, status: &DdlStatus) {
    let open = &status.to_look_at;
    let _written = writeln!(
        text,
        "  {:<16} {} replayed, {} to look at",
        "structure",
        status.replayed,
        open.len()
    );
    for change in open.iter().take(SHOWN) {
        let waits = if change.stops {
            "the stream waits"
        } else {
            "open"
        };
        let _written = writeln!(
            text,
            "    #{} {waits}: {} of {} by {} at {}: {}\n      {}",
            change.id,
            change.tag,
            change.object,
            change.role,
            change.committed_at,
            change.note,
            one_line(&change.statement)
        );
    }
    if open.len() > SHOWN {
        let _written = writeln!(
            text,
            "    and {} more in trunkline.ddl_log",
            open.len() - SHOWN
        );
    }
    if let Some(first) = open.first() {
        let _written = writeln!(
            text,
            "    dealt with, or nothing to do: UPDATE trunkline.ddl_log SET state = 'done' WHERE \
             id = {}; on the target",
            first.id
        );
    }
    if let Some(first) = open.iter().find(|change| change.stops) {
        let _written = writeln!(
            text,
            "    to run something in its place: UPDATE trunkline.ddl_log SET instead = 'ALTER \
             TABLE …' WHERE id = {}; then `trunkline run`",
            first.id
        );
    }
}

/// A statement's text without its line breaks, cut where it gets long.
fn one_line(statement: &str) -> String {
    const LONGEST: usize = 160;
    let words: Vec<&str> = statement.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let cut: String = line.chars().take(LONGEST).collect();
    format!("{cut} …")
}
