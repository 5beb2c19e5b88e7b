//! How the subscription stands, for people.

use std::fmt::Write as _;

use trunkline_migration::SubscriptionStatus;

/// Tables that are named.
const TABLES_NAMED: usize = 10;

pub(super) fn text(text: &mut String, status: &SubscriptionStatus) {
    let working = match (status.enabled, status.working) {
        (false, _) => "disabled",
        (true, true) => "working",
        (true, false) => "NOT working",
    };
    let _written = writeln!(
        text,
        "  subscription     {} ({working}); {} of {} tables ready",
        status.name, status.tables_ready, status.tables
    );
    let confirmed = status.confirmed_lsn.map(|lsn| lsn.to_string());
    let sending = match status.sending {
        Some(true) => "the source sends",
        Some(false) => "the source sends nothing",
        None => "the source does not answer",
    };
    let _written = writeln!(
        text,
        "                   {sending}, confirmed {}; the target applied {}, answered for {}",
        confirmed.as_deref().unwrap_or("unknown"),
        status.applied_lsn,
        status.answered_lsn
    );
    for table in status.not_ready.iter().take(TABLES_NAMED) {
        let idle = if table.working {
            ""
        } else {
            ", no process works on it"
        };
        let _written = writeln!(
            text,
            "                   {}: {}{idle}",
            table.table, table.state
        );
    }
    if let (Some(apply), Some(sync)) = (status.apply_errors, status.sync_errors) {
        let _written = writeln!(
            text,
            "                   failed: {apply} changes, {sync} copies of tables"
        );
    }
    for trouble in &status.trouble {
        let _written = writeln!(text, "  TROUBLE          {trouble}");
    }
}
