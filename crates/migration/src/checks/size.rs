//! Estimates of what moves and of what the source has to keep meanwhile. A server does not
//! tell over SQL how much of its disk is free, so that is left to the operator, and said.

use std::fmt::Write as _;
use std::time::Duration;

use trunkline_changes::Side;
use trunkline_postgres::{PgError, Session};

use super::activity::readable;
use super::finding::{Finding, all_on};
use super::limits::ASSUMED_COPY_BYTES_PER_SECOND;
use super::replication::setting_remedy;
use super::tables::Tables;
use super::{Intent, server};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub database_bytes: Option<u64>,
    /// Write-ahead log a second, on average since the statistics were reset.
    pub wal_bytes_per_second: Option<u64>,
}

pub(super) async fn read(session: &mut Session) -> Result<Facts, PgError> {
    let row = session.query_one(include_str!("sql/size.sql"), &[]).await?;
    let database_bytes = row.get(0)?;
    let mut wal_bytes_per_second = None;
    if session.version().major() >= 14
        && let Some(row) = session
            .query_opt(include_str!("sql/wal_rate_14.sql"), &[])
            .await?
    {
        let (bytes, seconds): (Option<u64>, Option<i64>) = (row.get(0)?, row.get(1)?);
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        wal_bytes_per_second = bytes
            .zip(seconds)
            .and_then(|(bytes, seconds)| bytes.checked_div(seconds));
    }
    Ok(Facts {
        database_bytes,
        wal_bytes_per_second,
    })
}

/// What the source writes, and so has to keep, during a copy of this size.
fn wal_during_copy(facts: Facts, copy_bytes: u64) -> Option<u64> {
    Some(
        facts
            .wal_bytes_per_second?
            .saturating_mul(copy_seconds(copy_bytes)),
    )
}

fn copy_seconds(bytes: u64) -> u64 {
    bytes / ASSUMED_COPY_BYTES_PER_SECOND + 1
}

pub(super) fn judge(
    facts: Facts,
    server: &server::Facts,
    tables: &Tables,
    intent: Intent,
) -> Vec<Finding> {
    let bytes = tables.bytes();
    let mut message = format!("the tables in scope hold about {}", amount(bytes));
    if let Some(database) = facts.database_bytes {
        // Writing to a String cannot fail.
        let _ = write!(
            message,
            ", of a database of {} with its indexes",
            amount(database)
        );
    }
    let mut findings = Vec::new();
    if intent.live {
        let time = readable(Duration::from_secs(copy_seconds(bytes)));
        let log = match facts.wal_bytes_per_second.zip(wal_during_copy(facts, bytes)) {
            Some((rate, kept)) => format!(
                "; the source writes {} of log a second on average, so a copy that takes {time} (at {} a second) \
                 keeps about {} of it on the source's disk",
                amount(rate),
                amount(ASSUMED_COPY_BYTES_PER_SECOND),
                amount(kept)
            ),
            None => "; how much log the source writes is not known, and it keeps all of it on its disk during the \
                     copy"
                .to_owned(),
        };
        message.push_str(&log);
        findings.extend(judge_kept_limit(facts, server, bytes));
    }
    message
        .push_str("; look at the free disk space of both servers yourself: SQL does not tell it");
    findings.push(Finding::notice("size", message));
    all_on(findings, Side::Source)
}

/// A finite `max_slot_wal_keep_size`: beyond it the slot is lost, and the migration with it.
fn judge_kept_limit(facts: Facts, server: &server::Facts, bytes: u64) -> Option<Finding> {
    let name = "max_slot_wal_keep_size";
    let limit = server.settings.bytes(name)?;
    let estimate = match wal_during_copy(facts, bytes) {
        Some(kept) if kept > limit => format!(
            "the copy alone is expected to need {}, which is more",
            amount(kept)
        ),
        Some(kept) => format!("the copy is expected to need {}", amount(kept)),
        None => "how much the copy will need is not known".to_owned(),
    };
    let message = format!(
        "a slot that keeps more than {} of log is thrown away, and the migration has to start again; {estimate}",
        amount(limit)
    );
    let remedy = setting_remedy(server, name, "-1", false);
    Some(
        Finding::warning("slot-wal-limit", message)
            .about(name)
            .mend(remedy),
    )
}

/// A number of bytes for people, in decimal units.
pub(super) fn amount(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::super::{Intent, intent_of_a_live_move, server};
    use super::{Facts, Tables, amount, judge, judge_kept_limit};

    #[test]
    fn amounts_read_well() {
        let shown = [999, 1_000, 1_550, 999_999, 12_300_000_000, u64::MAX].map(amount);
        assert_eq!(
            shown,
            [
                "999 B",
                "1.0 kB",
                "1.5 kB",
                "999.9 kB",
                "12.3 GB",
                "18446.7 PB"
            ]
        );
    }

    #[test]
    fn a_finite_limit_is_weighed_against_the_estimate() {
        let mut server = server::example(150_018);
        let facts = Facts {
            database_bytes: None,
            wal_bytes_per_second: Some(10_000_000),
        };
        assert_eq!(judge_kept_limit(facts, &server, 1), None);
        server.settings = Settings::of(&[("max_slot_wal_keep_size", "1024", "MB")]);
        let message = |facts, bytes| {
            judge_kept_limit(facts, &server, bytes)
                .expect("found")
                .message
        };
        assert!(message(facts, 500_000_000_000).contains("which is more"));
        assert!(message(facts, 50_000_000).contains("expected to need 20.0 MB"));
        assert!(message(Facts::default(), 1).contains("not known"));
    }

    #[test]
    fn an_unknown_rate_is_said_to_be_unknown() {
        let server = server::example(120_022);
        let findings = judge(
            Facts::default(),
            &server,
            &Tables::default(),
            intent_of_a_live_move(),
        );
        assert!(findings[0].message.contains("not known"));
        let at_rest = Intent {
            live: false,
            ..intent_of_a_live_move()
        };
        let findings = judge(Facts::default(), &server, &Tables::default(), at_rest);
        assert!(!findings[0].message.contains("log"));
    }
}
