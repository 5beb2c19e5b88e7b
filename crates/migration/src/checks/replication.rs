//! Whether the source can stream: its settings, its slots, its walsenders, and the slots that
//! others hold.

use trunkline_capture::slot::Plugin;
use trunkline_changes::{Side, quote_literal};
use trunkline_postgres::{PgError, Session};

use super::activity::readable;
use super::finding::{Finding, all_on};
use super::limits::SHORTEST_SENDER_TIMEOUT;
use super::{downstream, server};

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of a catalog, independent of each other"
)]
pub(super) struct Slot {
    pub name: String,
    pub plugin: String,
    pub logical: bool,
    pub database: String,
    pub active: bool,
    pub temporary: bool,
    pub lost: bool,
    pub lag_bytes: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub slots: Vec<Slot>,
    pub senders: i64,
}

impl Facts {
    /// Whether a slot of that name stands.
    pub(super) fn has_slot(&self, name: Option<&str>) -> bool {
        self.slots
            .iter()
            .any(|slot| Some(slot.name.as_str()) == name)
    }
}

pub(super) async fn read(session: &mut Session) -> Result<Facts, PgError> {
    let mut slots = Vec::new();
    for row in session.query(include_str!("sql/slots.sql"), &[]).await? {
        slots.push(Slot {
            name: row.get(0)?,
            plugin: row.get(1)?,
            logical: row.get::<String>(2)? == "logical",
            database: row.get(3)?,
            active: row.get(4)?,
            temporary: row.get(5)?,
            lost: row.get(6)?,
            lag_bytes: row.get(7)?,
        });
    }
    let senders = "SELECT count(*) FROM pg_catalog.pg_stat_replication";
    let senders = session.query_one(senders, &[]).await?.get(0)?;
    Ok(Facts { slots, senders })
}

/// How `wal_level` is set, in the platform's words.
pub(super) fn wal_level_remedy(server: &server::Facts) -> String {
    if server.platform.is_aws() {
        "-- in the parameter group: rds.logical_replication = 1, then reboot".to_owned()
    } else {
        "ALTER SYSTEM SET wal_level = logical; -- then restart the server".to_owned()
    }
}

/// How a setting is changed, in the platform's words.
pub(super) fn setting_remedy(
    server: &server::Facts,
    name: &str,
    value: &str,
    restart: bool,
) -> String {
    match (server.platform.is_aws(), restart) {
        (true, true) => format!("-- in the parameter group: {name} = {value}, then reboot"),
        (true, false) => format!("-- in the parameter group: {name} = {value}"),
        (false, true) => format!("ALTER SYSTEM SET {name} = {value}; -- then restart the server"),
        (false, false) => format!("ALTER SYSTEM SET {name} = {value}; SELECT pg_reload_conf();"),
    }
}

pub(super) fn judge(
    facts: &Facts,
    server: &server::Facts,
    (decoder, own_slot): (Plugin, Option<&str>),
    handed_over: &[String],
) -> Vec<Finding> {
    let own = facts
        .slots
        .iter()
        .find(|slot| Some(slot.name.as_str()) == own_slot);
    let mut findings = judge_settings(server, decoder);
    findings.extend(match own {
        Some(slot) => judge_own(slot, server, decoder),
        None => judge_room(
            server,
            "replication-slots",
            "max_replication_slots",
            "replication slot",
            i64::try_from(facts.slots.len()).unwrap_or(i64::MAX),
        ),
    });
    if own.is_none_or(|slot| !slot.active) {
        findings.extend(judge_room(
            server,
            "wal-senders",
            "max_wal_senders",
            "walsender",
            facts.senders,
        ));
    }
    findings.extend(downstream::judge_source(
        facts,
        server,
        own_slot,
        handed_over,
    ));
    all_on(findings, Side::Source)
}

fn judge_settings(server: &server::Facts, decoder: Plugin) -> Vec<Finding> {
    let settings = &server.settings;
    let mut findings = Vec::new();
    let wal_level = settings.text("wal_level").unwrap_or("unknown");
    if wal_level != "logical" {
        let message =
            format!("wal_level is {wal_level}: changes cannot be decoded from the write-ahead log");
        findings.push(
            Finding::blocker("wal-level", message)
                .about("wal_level")
                .mend(wal_level_remedy(server)),
        );
    }
    if let Some(allowed) = settings.text("output_plugin_libraries")
        && !allowed.split(',').any(|plugin| {
            let plugin = plugin.trim().trim_matches('"');
            plugin.strip_prefix("$libdir/").unwrap_or(plugin) == decoder.name()
        })
    {
        let plugin = decoder.name();
        let name = "output_plugin_libraries";
        let listed: Vec<_> = allowed
            .split(',')
            .map(str::trim)
            .filter(|plugin| !plugin.is_empty())
            .collect();
        let value = [listed.as_slice(), &[plugin]].concat().join(", ");
        let message = format!(
            "{plugin}, the decoder of the stream, is not among the plugins that the server allows"
        );
        findings.push(
            Finding::blocker("output-plugin", message)
                .about(name)
                .mend(setting_remedy(server, name, &value, false)),
        );
    }
    findings.extend(judge_patience(server));
    findings
}

/// How long the server bears a stream, and a slot, that nobody answers for.
fn judge_patience(server: &server::Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = "wal_sender_timeout";
    let timeout = server
        .settings
        .duration(name)
        .filter(|timeout| !timeout.is_zero());
    if let Some(timeout) = timeout.filter(|timeout| *timeout < SHORTEST_SENDER_TIMEOUT) {
        let message = format!(
            "the server ends a stream that it hears nothing from for {timeout:?}: short interruptions of the \
             network will show as reconnects"
        );
        let remedy = setting_remedy(server, name, "'60s'", false);
        findings.push(
            Finding::warning("wal-sender-timeout", message)
                .about(name)
                .mend(remedy),
        );
    }
    let name = "idle_replication_slot_timeout";
    if let Some(idle) = server
        .settings
        .duration(name)
        .filter(|idle| !idle.is_zero())
    {
        let message = format!(
            "a slot that nobody reads for {} is invalidated at the next checkpoint: a migration that is stopped for \
             longer has to start again",
            readable(idle)
        );
        let remedy = setting_remedy(server, name, "0", false);
        findings.push(
            Finding::warning("slot-idle-timeout", message)
                .about(name)
                .mend(remedy),
        );
    }
    findings
}

/// One more of something that the server has a maximum of.
fn judge_room(
    server: &server::Facts,
    code: &'static str,
    setting: &'static str,
    noun: &str,
    used: i64,
) -> Vec<Finding> {
    match server.settings.number(setting) {
        Some(limit) if used < limit => Vec::new(),
        Some(limit) => {
            let message = format!("no {noun} is free: {used} of {limit} are in use");
            let remedy = setting_remedy(server, setting, &(limit + 5).to_string(), true);
            vec![Finding::blocker(code, message).about(setting).mend(remedy)]
        }
        None => vec![
            Finding::warning(code, format!("cannot tell whether a {noun} is free")).about(setting),
        ],
    }
}

fn judge_own(slot: &Slot, server: &server::Facts, decoder: Plugin) -> Vec<Finding> {
    let plugin = decoder.name();
    let of_another = format!(
        "exists, and is not a logical slot of {plugin}: it was not made for this migration, or the plan's decoder \
         is another one now"
    );
    let wrong = if !slot.logical || slot.plugin != plugin {
        of_another.as_str()
    } else if slot.database != server.database {
        "exists, and belongs to another database: it was not made for this migration"
    } else if slot.lost {
        "is lost: the source removed write-ahead log that it still needed, so changes are missing and the copy \
         has to start again"
    } else {
        return Vec::new();
    };
    let remedy = format!(
        "SELECT pg_drop_replication_slot({});",
        quote_literal(&slot.name)
    );
    vec![
        Finding::blocker("own-slot", format!("the slot {wrong}"))
            .about(&slot.name)
            .mend(remedy),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;

    fn server(settings: &[(&str, &str, &str)]) -> server::Facts {
        let mut all = vec![
            ("wal_level", "logical", ""),
            ("max_replication_slots", "2", ""),
            ("max_wal_senders", "2", ""),
        ];
        all.extend_from_slice(settings);
        server::Facts {
            settings: Settings::of(&all),
            ..server::example(150_018)
        }
    }

    fn slot(name: &str) -> Slot {
        Slot {
            name: name.to_owned(),
            plugin: "pgoutput".to_owned(),
            logical: true,
            database: "app".to_owned(),
            active: false,
            temporary: false,
            lost: false,
            lag_bytes: None,
        }
    }

    fn codes(facts: &Facts, server: &server::Facts, own: Option<&str>) -> Vec<&'static str> {
        judge(facts, server, (Plugin::Pgoutput, own), &[])
            .into_iter()
            .map(|finding| finding.code)
            .collect()
    }

    #[test]
    fn a_source_with_room_is_fine() {
        assert!(codes(&Facts::default(), &server(&[]), None).is_empty());
    }

    #[test]
    fn each_setting_that_hinders_the_stream_is_named() {
        let hostile = server(&[
            ("wal_level", "replica", ""),
            ("output_plugin_libraries", "test_decoding, wal2json", ""),
            ("wal_sender_timeout", "1000", "ms"),
            ("idle_replication_slot_timeout", "3600", "s"),
        ]);
        assert_eq!(
            codes(&Facts::default(), &hostile, None),
            [
                "wal-level",
                "output-plugin",
                "wal-sender-timeout",
                "slot-idle-timeout"
            ]
        );
        let listed = server(&[("output_plugin_libraries", "pgoutput, test_decoding", "")]);
        assert!(codes(&Facts::default(), &listed, None).is_empty());
    }

    #[test]
    fn no_free_slot_blocks_unless_ours_is_there() {
        let mut facts = Facts {
            slots: vec![slot("trunkline_app"), slot("debezium")],
            senders: 2,
        };
        assert_eq!(
            codes(&facts, &server(&[]), None),
            [
                "replication-slots",
                "wal-senders",
                "other-slot",
                "other-slot"
            ]
        );
        facts.slots[0].active = true;
        assert_eq!(
            codes(&facts, &server(&[]), Some("trunkline_app")),
            ["other-slot"]
        );
    }

    #[test]
    fn a_slot_of_our_name_that_cannot_be_ours_blocks() {
        let mut facts = Facts {
            slots: vec![slot("ours")],
            senders: 0,
        };
        assert!(codes(&facts, &server(&[]), Some("ours")).is_empty());
        facts.slots[0].lost = true;
        assert_eq!(codes(&facts, &server(&[]), Some("ours")), ["own-slot"]);
        facts.slots[0] = Slot {
            plugin: "wal2json".to_owned(),
            ..slot("ours")
        };
        assert_eq!(codes(&facts, &server(&[]), Some("ours")), ["own-slot"]);
        facts.slots[0] = Slot {
            database: "other".to_owned(),
            ..slot("ours")
        };
        assert_eq!(codes(&facts, &server(&[]), Some("ours")), ["own-slot"]);
    }

    #[test]
    fn a_maximum_that_is_hidden_is_not_taken_for_room() {
        let mut facts = server(&[]);
        facts.settings = Settings::of(&[("wal_level", "logical", "")]);
        assert_eq!(
            codes(&Facts::default(), &facts, None),
            ["replication-slots", "wal-senders"]
        );
    }

    #[test]
    fn slots_of_other_databases_are_no_consumers_of_this_one() {
        let foreign = Slot {
            database: "other".to_owned(),
            ..slot("cdc")
        };
        let facts = Facts {
            slots: vec![foreign],
            senders: 0,
        };
        assert!(codes(&facts, &server(&[]), None).is_empty());
    }
}
