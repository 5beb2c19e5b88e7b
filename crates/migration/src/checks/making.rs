//! Whether a standby of the source can be made on this machine, as far as can be told before
//! there is one: what the source allows, what this machine has, whether its place is free.

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};

use super::finding::{Finding, all_on};

/// The copy is read by two walsenders: its files, and the log meanwhile.
const SENDERS: i64 = 2;

/// What is known beside what the source says.
pub(crate) struct Question {
    /// Why this machine cannot make it, and what to do.
    pub(crate) trouble: Option<(String, String)>,
    /// Where another server answers in its place.
    pub(crate) taken: Option<String>,
    /// Whether its slot was begun already.
    pub(crate) has_slot: bool,
}

#[derive(Clone, Debug)]
struct Facts {
    may_replicate: bool,
    slots: i64,
    max_slots: i64,
    senders: i64,
    max_senders: i64,
    wal_level: String,
    tablespaces: Option<String>,
    in_recovery: bool,
    role: String,
}

impl Facts {
    fn read(row: &DataRow) -> Result<Self, PgError> {
        Ok(Facts {
            may_replicate: row.get(0)?,
            slots: row.get(1)?,
            max_slots: row.get(2)?,
            senders: row.get(3)?,
            max_senders: row.get(4)?,
            wal_level: row.get(5)?,
            tablespaces: row.get(6)?,
            in_recovery: row.get(7)?,
            role: row.get(8)?,
        })
    }
}

/// Asks the source.
pub(crate) async fn examine(
    source: &mut Session,
    question: &Question,
) -> Result<Vec<Finding>, Fault> {
    let row = source.query_one(include_str!("sql/making.sql"), &[]).await;
    let facts = row.and_then(|row| Facts::read(&row));
    let facts = facts.on(Side::Source, "reading about the source")?;
    let mut findings = judge(&facts, question.has_slot);
    if let Some((why, remedy)) = &question.trouble {
        findings.push(Finding::blocker("standby-machine", why).mend(remedy));
    }
    if let Some(place) = &question.taken {
        let message = "a server answers already where the standby is to be made";
        findings.push(
            Finding::blocker("standby-place", message)
                .about(place)
                .mend(
                    "-- in the plan: another port; or provider = \"adopt\", if it is the standby",
                ),
        );
    }
    Ok(findings)
}

fn judge(facts: &Facts, has_slot: bool) -> Vec<Finding> {
    let message = "the standby is made on this machine by pg_basebackup of the whole server, and \
                   examined when it stands";
    let mut findings = vec![Finding::notice("standby-made", message)];
    if !facts.may_replicate {
        let message = "our role may not make a base backup, nor a slot";
        findings.push(
            Finding::blocker("standby-replication", message).mend(format!(
                "ALTER ROLE {} REPLICATION;",
                quote_ident(&facts.role)
            )),
        );
    }
    let room = [
        (
            "max_replication_slots",
            facts.slots,
            facts.max_slots,
            i64::from(!has_slot),
        ),
        ("max_wal_senders", facts.senders, facts.max_senders, SENDERS),
    ];
    for (name, used, limit, needed) in room {
        if used + needed > limit {
            let message = format!("{used} of {limit} are in use, and the standby needs {needed}");
            findings.push(
                Finding::blocker("standby-room", message)
                    .about(name)
                    .mend(format!(
                        "ALTER SYSTEM SET {name} = {}; -- then restart",
                        used + needed + 5
                    )),
            );
        }
    }
    if facts.wal_level == "minimal" {
        let message = "wal_level is minimal: no standby can follow";
        findings.push(
            Finding::blocker("wal-level", message)
                .mend("ALTER SYSTEM SET wal_level = logical; -- then restart"),
        );
    }
    if let Some(names) = &facts.tablespaces {
        let message = "a base backup would write the tablespaces to the paths that they have on \
                       the source";
        findings.push(
            Finding::blocker("standby-tablespaces", message)
                .about(names)
                .mend(
                    "-- make the standby yourself, with their paths mapped: provider = \"adopt\"",
                ),
        );
    }
    if facts.in_recovery {
        let message = "the source is a standby itself";
        findings.push(Finding::blocker("source-standby", message));
    }
    all_on(findings, Side::Source)
}

#[cfg(test)]
mod tests {
    use super::{Facts, judge};

    fn fit() -> Facts {
        Facts {
            may_replicate: true,
            slots: 3,
            max_slots: 4,
            senders: 1,
            max_senders: 3,
            wal_level: "logical".to_owned(),
            tablespaces: None,
            in_recovery: false,
            role: "trunkline".to_owned(),
        }
    }

    fn codes(facts: &Facts, has_slot: bool) -> Vec<&'static str> {
        let findings = judge(facts, has_slot);
        findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_source_with_just_enough_room_stands_in_the_way_of_nothing() {
        assert_eq!(codes(&fit(), false), ["standby-made"]);
    }

    #[test]
    fn a_slot_that_was_begun_needs_no_second_place() {
        let full = Facts { slots: 4, ..fit() };
        assert_eq!(codes(&full, false), ["standby-made", "standby-room"]);
        assert_eq!(codes(&full, true), ["standby-made"]);
    }

    #[test]
    fn what_the_source_does_not_allow_is_named() {
        let facts = Facts {
            may_replicate: false,
            senders: 2,
            wal_level: "minimal".to_owned(),
            tablespaces: Some("fast".to_owned()),
            in_recovery: true,
            ..fit()
        };
        let expected = [
            "standby-made",
            "standby-replication",
            "standby-room",
            "wal-level",
            "standby-tablespaces",
            "source-standby",
        ];
        assert_eq!(codes(&facts, false), expected);
    }
}
