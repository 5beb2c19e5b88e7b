//! Consumers of the source's changes beside us (change data capture, subscribers): whether
//! each is handed over, and whether the target can take those that are.

use trunkline_changes::Side;

use super::finding::{Finding, all_on};
use super::listing::each;
use super::replication::{self, Slot, setting_remedy, wal_level_remedy};
use super::server;
use super::size::amount;
use crate::nearest;

/// The slots of others on the source, and the plan's names that are no such slot.
pub(super) fn judge_source(
    facts: &replication::Facts,
    server: &server::Facts,
    own_slot: Option<&str>,
    named: &[String],
) -> Vec<Finding> {
    let others: Vec<&Slot> = facts
        .slots
        .iter()
        .filter(|slot| {
            slot.logical
                && !slot.temporary
                && slot.database == server.database
                && Some(slot.name.as_str()) != own_slot
        })
        .collect();
    let mut findings = each(&others, |slot| {
        if named.contains(&slot.name) {
            judge_named(slot)
        } else {
            judge_left(slot)
        }
    });
    let names: Vec<&str> = others.iter().map(|slot| slot.name.as_str()).collect();
    let unknown = named.iter().filter(|name| !names.contains(&name.as_str()));
    findings.extend(each(unknown, |name| {
        let message = "the plan's [downstream] names this slot, and this database has no such \
                       logical slot";
        let finding = Finding::blocker("downstream-slot", message).about(name);
        match nearest(name, &names) {
            Some(near) => {
                finding.mend(format!("-- in the plan: [downstream] slots = [\"{near}\"]"))
            }
            None => finding,
        }
    }));
    findings
}

/// How the consumer stands, in a few words.
fn state(slot: &Slot) -> String {
    let reader = if slot.active {
        "being read"
    } else {
        "not being read at the moment"
    };
    let lag = match slot.lag_bytes {
        Some(bytes) => format!("{} behind", amount(bytes)),
        None => "by how much it is behind is not known".to_owned(),
    };
    format!("plugin {}, {reader}, {lag}", slot.plugin)
}

fn judge_left(slot: &Slot) -> Finding {
    let message = format!(
        "a consumer of changes holds this slot ({}), and the plan does not name it: at the cutover its consumer \
         stays on the old server and sees no more changes",
        state(slot)
    );
    let remedy = format!(
        "-- in the plan, to hand it over: [downstream] slots = [\"{}\"]",
        slot.name
    );
    Finding::warning("other-slot", message)
        .about(&slot.name)
        .mend(remedy)
}

fn judge_named(slot: &Slot) -> Finding {
    if slot.lost {
        let message = format!(
            "the slot to be handed over is lost ({}): its consumer has to begin anew",
            state(slot)
        );
        return Finding::blocker("downstream-slot", message).about(&slot.name);
    }
    let publication = if slot.plugin == "pgoutput" {
        "; publications do not move: make the one that it reads by on the target before the cutover"
    } else {
        ""
    };
    let message = format!(
        "is handed over at the cutover ({}){publication}",
        state(slot)
    );
    Finding::notice("downstream-slot", message).about(&slot.name)
}

/// Whether slots can be made on the target for the consumers that are handed over.
pub(super) fn judge_target(
    facts: &replication::Facts,
    server: &server::Facts,
    named: &[String],
) -> Vec<Finding> {
    let wal_level = server.settings.text("wal_level").unwrap_or("unknown");
    let mut findings = Vec::new();
    if wal_level != "logical" {
        let message = format!(
            "wal_level is {wal_level} on the target: no slot can be made there for the consumers that are handed over"
        );
        findings.push(
            Finding::blocker("downstream-wal-level", message)
                .about("wal_level")
                .mend(wal_level_remedy(server)),
        );
    }
    let setting = "max_replication_slots";
    let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let standing = facts
        .slots
        .iter()
        .filter(|slot| !named.contains(&slot.name));
    let needed = count(standing.count()).saturating_add(count(named.len()));
    match server.settings.number(setting) {
        Some(limit) if needed <= limit => {}
        Some(limit) => {
            let message = format!(
                "the consumers that are handed over need {needed} replication slots in all on the target, and {limit} \
                 are allowed"
            );
            let remedy = setting_remedy(server, setting, &(needed + 5).to_string(), true);
            findings.push(
                Finding::blocker("downstream-slots", message)
                    .about(setting)
                    .mend(remedy),
            );
        }
        None => {
            let message = "cannot tell whether slots are free on the target for the consumers that are handed over";
            findings.push(Finding::warning("downstream-slots", message).about(setting));
        }
    }
    all_on(findings, Side::Target)
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;
    use crate::checks::finding::Severity;

    fn slots(names: &[&str]) -> replication::Facts {
        let slot = |name: &&str| Slot {
            name: (*name).to_owned(),
            plugin: "pgoutput".to_owned(),
            logical: true,
            database: "app".to_owned(),
            active: true,
            temporary: false,
            lost: false,
            lag_bytes: Some(3 << 20),
        };
        replication::Facts {
            slots: names.iter().map(slot).collect(),
            senders: 0,
        }
    }

    fn server(wal_level: &str, slots: &str) -> server::Facts {
        server::Facts {
            settings: Settings::of(&[
                ("wal_level", wal_level, ""),
                ("max_replication_slots", slots, ""),
            ]),
            ..server::example(150_018)
        }
    }

    #[test]
    fn a_consumer_that_the_plan_does_not_name_is_told_how_to_be_handed_over() {
        let findings = judge_source(&slots(&["debezium"]), &server("logical", "9"), None, &[]);
        let finding = findings.first().expect("found");
        assert_eq!(
            (finding.code, finding.severity),
            ("other-slot", Severity::Warning)
        );
        for part in [
            "pgoutput",
            "being read",
            "3.1 MB behind",
            "stays on the old server",
        ] {
            assert!(finding.message.contains(part), "{}", finding.message);
        }
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        assert!(
            remedy.contains("[downstream] slots = [\"debezium\"]"),
            "{remedy}"
        );
    }

    #[test]
    fn a_consumer_that_is_handed_over_is_a_notice_and_an_unknown_name_blocks() {
        let named = ["debezium".to_owned(), "debezum".to_owned()];
        let findings = judge_source(&slots(&["debezium"]), &server("logical", "9"), None, &named);
        let severities: Vec<_> = findings.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Notice, Severity::Blocker]);
        assert!(findings[0].message.contains("publications do not move"));
        let remedy = findings[1].remedy.as_deref().unwrap_or_default();
        assert!(remedy.contains("debezium"), "{remedy}");
    }

    #[test]
    fn a_target_without_room_or_logical_decoding_blocks_a_hand_over() {
        let named = ["debezium".to_owned()];
        let codes = |facts, server| -> Vec<&'static str> {
            let findings = judge_target(&facts, &server, &named);
            findings.iter().map(|finding| finding.code).collect()
        };
        assert!(codes(slots(&["a"]), server("logical", "2")).is_empty());
        assert!(codes(slots(&["a", "debezium"]), server("logical", "2")).is_empty());
        assert_eq!(
            codes(slots(&["a", "b"]), server("replica", "2")),
            ["downstream-wal-level", "downstream-slots"]
        );
    }
}
