//! Whether commits on the source wait for the standby (`synchronous_standby_names`): once it is
//! promoted it confirms nothing any more, and a source that is given back would stand still.

use trunkline_changes::Side;
use trunkline_postgres::{DataRow, PgError, Session};

use super::super::finding::Finding;

/// What the source says of it.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// `synchronous_standby_names`.
    pub(super) names: String,
    /// Other servers that are connected and may confirm commits.
    pub(super) others: i64,
    /// Whether the standby is one that does.
    pub(super) on_this: bool,
    /// Whether that can be seen.
    pub(super) is_known: bool,
}

/// Asks both: the standby for its slot, and the source who streams from that.
pub(super) async fn read(source: &mut Session, target: &mut Session) -> Result<Waiting, PgError> {
    let sql = "SELECT pg_catalog.current_setting('primary_slot_name')";
    let slot: String = target.query_one(sql, &[]).await?.get(0)?;
    let sql = include_str!("../sql/standby_waited_for.sql");
    let row = source.query_one(sql, &[&slot]).await?;
    let read = |row: &DataRow| {
        Ok(Waiting {
            names: row.get(0)?,
            others: row.get(1)?,
            on_this: row.get(2)?,
            is_known: row.get(3)?,
        })
    };
    read(&row)
}

/// How many servers must confirm a commit: the number in front of the list, or one.
fn needed(names: &str) -> i64 {
    let Some((head, _)) = names.split_once('(') else {
        return 1;
    };
    let number = head.split_whitespace().last();
    number.and_then(|word| word.parse().ok()).unwrap_or(1)
}

pub(super) fn judge(waiting: &Waiting) -> Option<Finding> {
    let name = "synchronous_standby_names";
    let names = waiting.names.trim();
    if names.is_empty() {
        return None;
    }
    let remedy = "-- take the standby out of synchronous_standby_names on the source, then SELECT \
                  pg_reload_conf();";
    let finding = if !waiting.is_known {
        let message = format!(
            "commits on the source wait for standbys ({names}), and whether for this one cannot \
             be seen: if so, they would stand still once it is promoted"
        );
        let finding = Finding::blocker("standby-waited-for", message);
        let remedy = "GRANT pg_read_all_stats TO our_role; -- and let the standby stream from a \
                      slot (primary_slot_name); or take it out of the list";
        return Some(finding.on(Side::Source).about(name).mend(remedy));
    } else if !waiting.on_this {
        return None;
    } else if waiting.others < needed(names) {
        let message = format!(
            "commits on the source wait for this standby ({names}): once it is promoted they \
             would stand still, also if the cutover is given up"
        );
        Finding::blocker("standby-waited-for", message)
    } else {
        let message = format!(
            "commits on the source wait for this standby, among others ({names}): once it is \
             promoted, others must confirm them"
        );
        Finding::notice("standby-waited-for", message)
    };
    Some(finding.on(Side::Source).about(name).mend(remedy))
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Severity;
    use super::{Waiting, judge, needed};

    fn severity(names: &str, others: i64, on_this: bool, is_known: bool) -> Option<Severity> {
        let waiting = Waiting {
            names: names.to_owned(),
            others,
            on_this,
            is_known,
        };
        judge(&waiting).map(|finding| finding.severity)
    }

    #[test]
    fn a_standby_that_nobody_can_stand_in_for_is_not_promoted() {
        assert_eq!(severity("b", 0, true, true), Some(Severity::Blocker));
        assert_eq!(
            severity("ANY 2 (b, c, d)", 1, true, true),
            Some(Severity::Blocker)
        );
        assert_eq!(
            severity("ANY 1 (b, c)", 1, true, true),
            Some(Severity::Notice)
        );
    }

    #[test]
    fn a_source_that_waits_for_others_or_for_nobody_is_fit() {
        assert_eq!(severity("", 0, false, true), None);
        assert_eq!(severity("c", 1, false, true), None);
    }

    #[test]
    fn what_cannot_be_seen_is_not_taken_for_fit() {
        assert_eq!(severity("b", 0, false, false), Some(Severity::Blocker));
    }

    #[test]
    fn the_number_of_confirmations_is_read_from_every_form_of_the_list() {
        for (names, expected) in [
            ("a, b", 1),
            ("2 (a, b)", 2),
            ("FIRST 3 (*)", 3),
            ("ANY 1(a)", 1),
        ] {
            assert_eq!(needed(names), expected, "{names}");
        }
    }
}
