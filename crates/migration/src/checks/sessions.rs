//! Time-outs that a server forces on our sessions, and locks that one transaction may take.
//! Every session of ours switches the time-outs off; what is still there cannot be.

use trunkline_changes::Side;

use super::finding::Finding;
use super::listing::each;
use super::server;

const TIMEOUTS: [&str; 5] = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
];

pub(super) fn judge_timeouts(side: Side, server: &server::Facts) -> Vec<Finding> {
    let forced = TIMEOUTS.iter().filter_map(|name| {
        let value = server.settings.duration(name)?;
        (!value.is_zero()).then_some((*name, value))
    });
    each(forced, |(name, value)| {
        let message = format!(
            "our sessions switch this time-out off, and it is still {value:?}: the platform or a pooler forces it, \
             and long copies would be cut"
        );
        Finding::blocker("timeout-forced", message)
            .on(side)
            .about(name)
    })
}

/// `pg_dump` locks every table that it reads in one transaction.
pub(super) fn judge_locks(server: &server::Facts, tables: usize) -> Option<Finding> {
    let settings = &server.settings;
    let per_transaction = settings.number("max_locks_per_transaction")?;
    let holders =
        settings.number("max_connections")? + settings.number("max_prepared_transactions")?;
    let room = per_transaction.saturating_mul(holders);
    let wanted = i64::try_from(tables).unwrap_or(i64::MAX);
    if wanted <= room {
        return None;
    }
    let name = "max_locks_per_transaction";
    let message = format!(
        "reading the structure locks {wanted} tables at once, and the server's table of locks is made for {room}"
    );
    // Half as much again, so that other sessions find room as well.
    let value = wanted.saturating_mul(3) / 2 / holders.max(1) + 1;
    let remedy = super::replication::setting_remedy(server, name, &value.to_string(), true);
    Some(
        Finding::warning("lock-table", message)
            .on(Side::Source)
            .about(name)
            .mend(remedy),
    )
}

#[cfg(test)]
mod tests {
    use super::super::server;
    use super::super::settings::Settings;
    use super::{judge_locks, judge_timeouts};
    use trunkline_changes::Side;

    fn with(settings: &[(&str, &str, &str)]) -> server::Facts {
        server::Facts {
            settings: Settings::of(settings),
            ..server::example(150_018)
        }
    }

    #[test]
    fn a_time_out_that_stays_is_a_blocker() {
        let server = with(&[
            ("statement_timeout", "0", "ms"),
            ("idle_in_transaction_session_timeout", "60000", "ms"),
        ]);
        let findings = judge_timeouts(Side::Target, &server);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].object.as_deref(),
            Some("idle_in_transaction_session_timeout")
        );
    }

    #[test]
    fn more_tables_than_locks_is_a_warning_with_a_value_that_suffices() {
        let server = with(&[
            ("max_locks_per_transaction", "64", ""),
            ("max_connections", "100", ""),
            ("max_prepared_transactions", "0", ""),
        ]);
        assert_eq!(judge_locks(&server, 6_400), None);
        let finding = judge_locks(&server, 200_000).expect("found");
        assert!(finding.remedy.is_some_and(|sql| sql.contains("= 3001;")));
    }
}
