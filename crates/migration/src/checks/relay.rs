//! Whether a standby of the source can be read in its place: it decodes, it keeps what it
//! decodes with, and it is a standby of this very source.

use std::time::Duration;

use trunkline_capture::slot::Plugin;
use trunkline_changes::Side;
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};

use super::finding::Finding;
use super::limits::{RELAY_BEHIND_BYTES, SLOTS_ON_RELAY};
use super::replication::{self, setting_remedy};
use super::server;
use super::size::amount;

/// The first version whose standbys decode.
const DECODES_FROM: u32 = 16;

/// What is asked about a relay.
pub(crate) struct Question<'a> {
    /// Its physical slot on the source, if the plan names it.
    pub(crate) slot: Option<&'a str>,
    /// The migration's slot, which may stand on it from an earlier run.
    pub(crate) own_slot: Option<&'a str>,
}

/// The relay's slot on the source.
#[derive(Clone, Copy, Debug)]
struct SlotFacts {
    physical: bool,
    lost: bool,
}

#[derive(Clone, Debug)]
struct Facts {
    server: server::Facts,
    replication: replication::Facts,
    /// The name of its slot on the source, and what the source says of it.
    slot: Option<(String, Option<SlotFacts>)>,
    slot_is_named_by_the_plan: bool,
    behind_bytes: u64,
    /// Whether our role may make the source write what slots on the relay wait for.
    asks_for_records: bool,
}

/// Reads both servers and gives every finding.
pub(crate) async fn examine(
    source: &mut Session,
    relay: &mut Session,
    question: &Question<'_>,
) -> Result<Vec<Finding>, Fault> {
    let doing = "looking at the relay";
    let primary = server::read(source).await.on(Side::Source, doing)?;
    let server = server::read(relay).await.on(Side::Source, doing)?;
    let mut findings = judge_server(&server, &primary);
    if findings.is_empty() {
        let facts = read(source, relay, server, question).await;
        let facts = facts.on(Side::Source, doing)?;
        findings = judge(&facts, question.own_slot);
    }
    let on_source = |finding: Finding| finding.on(Side::Source);
    Ok(findings.into_iter().map(on_source).collect())
}

async fn read(
    source: &mut Session,
    relay: &mut Session,
    server: server::Facts,
    question: &Question<'_>,
) -> Result<Facts, PgError> {
    let look = crate::relay::look(relay, "").await?;
    let named = question.slot.map(str::to_owned);
    let name = named.or_else(|| (!look.slot.is_empty()).then_some(look.slot));
    let slot = match name {
        Some(name) => {
            let sql = include_str!("sql/relay_slot.sql");
            let row = source.query_opt(sql, &[&name]).await?;
            let read = |row: &DataRow| {
                Ok::<_, PgError>(SlotFacts {
                    physical: row.get(0)?,
                    lost: row.get(1)?,
                })
            };
            Some((name, row.as_ref().map(read).transpose()?))
        }
        None => None,
    };
    let behind = "SELECT greatest(0, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), $1::pg_lsn))::bigint, \
                  pg_catalog.has_function_privilege('pg_catalog.pg_log_standby_snapshot()', 'EXECUTE')";
    let row = source.query_one(behind, &[&look.replayed]).await?;
    Ok(Facts {
        server,
        replication: replication::read(relay).await?,
        slot,
        slot_is_named_by_the_plan: question.slot.is_some(),
        behind_bytes: row.get(0)?,
        asks_for_records: row.get(1)?,
    })
}

/// Whether it is a standby of this source that can decode at all; nothing else is asked of
/// one that is not.
fn judge_server(relay: &server::Facts, source: &server::Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !relay.in_recovery {
        let message = "the relay is no standby: it was promoted, or never was one";
        findings.push(
            Finding::blocker("relay-promoted", message)
                .mend("-- in the plan: name a standby of the source in [relay]"),
        );
    }
    if relay.version.major() < DECODES_FROM {
        let message = format!(
            "the relay is PostgreSQL {}: a standby decodes from {DECODES_FROM} on, and a relay is \
             never promoted",
            relay.version
        );
        findings.push(Finding::blocker("relay-version", message).mend(
            "-- in the plan: take [relay] out, and read from the source itself; or move to \
                     the standby first (route = \"replica\", cutover, complete), then from there \
                     in a second migration, by the stream",
        ));
    }
    if !relay.direct {
        let message = "a connection pooler stands in front of the relay: it cannot pass \
                       replication on";
        findings.push(Finding::blocker("relay-pooler", message));
    }
    match (&relay.system_id, &source.system_id) {
        (Some(there), Some(here)) if there != here => {
            let message = "the relay is a standby of another server: its system identifier is \
                           not the source's";
            findings.push(
                Finding::blocker("relay-stranger", message)
                    .mend("-- in the plan: name a standby of the source in [relay]"),
            );
        }
        _ => {}
    }
    findings
}

fn judge(facts: &Facts, own_slot: Option<&str>) -> Vec<Finding> {
    let server = &facts.server;
    let mut findings: Vec<Finding> = replication::judge(
        &facts.replication,
        server,
        (Plugin::Pgoutput, own_slot),
        &[],
    )
    .into_iter()
    .filter(|finding| finding.code != "other-slot")
    .map(|mut finding| {
        finding.message = format!("on the relay: {}", finding.message);
        finding
    })
    .collect();
    findings.extend(judge_room(facts, own_slot));
    findings.extend(judge_feedback(facts));
    findings.extend(judge_slot(facts));
    findings.extend(judge_replay(facts));
    if !facts.asks_for_records {
        let message = "a slot on the relay waits for records that the source writes every 15 s; \
                       our role may not ask for them at once";
        findings.push(
            Finding::notice("relay-records", message)
                .mend("GRANT EXECUTE ON FUNCTION pg_catalog.pg_log_standby_snapshot() TO <role>;"),
        );
    }
    findings
}

/// Beside the slot that is followed there are temporary ones, for snapshots.
fn judge_room(facts: &Facts, own_slot: Option<&str>) -> Option<Finding> {
    let name = "max_replication_slots";
    let slots = &facts.replication.slots;
    let ours = slots
        .iter()
        .any(|slot| Some(slot.name.as_str()) == own_slot);
    let used = i64::try_from(slots.len()).unwrap_or(i64::MAX);
    let needed = SLOTS_ON_RELAY - i64::from(ours);
    let limit = facts.server.settings.number(name)?;
    // That none is free is said already.
    if used >= limit || used.saturating_add(needed) <= limit {
        return None;
    }
    let message = format!(
        "on the relay: {used} of {limit} replication slots are in use, and {needed} are needed: \
         one to follow, one for snapshots"
    );
    let remedy = setting_remedy(&facts.server, name, &(limit + 5).to_string(), true);
    Some(
        Finding::blocker("relay-slots", message)
            .about(name)
            .mend(remedy),
    )
}

fn judge_feedback(facts: &Facts) -> Option<Finding> {
    let name = "hot_standby_feedback";
    if facts.server.settings.text(name) == Some("on") {
        return None;
    }
    let message = "hot_standby_feedback is off on the relay: vacuum on the source removes what \
                   slots there decode with, and they are lost";
    Some(
        Finding::blocker("relay-feedback", message)
            .about(name)
            .mend(format!(
                "-- on the relay: {}",
                setting_remedy(&facts.server, name, "on", false)
            )),
    )
}

fn judge_slot(facts: &Facts) -> Option<Finding> {
    let make = "SELECT pg_create_physical_replication_slot('relay', true); -- and on the relay: \
                ALTER SYSTEM SET primary_slot_name = 'relay'; SELECT pg_reload_conf();";
    let code = "relay-slot";
    match &facts.slot {
        None => {
            let message = "the relay has no physical slot on the source: while it is \
                           disconnected, vacuum on the source removes what its slots decode \
                           with, and the copy has to begin anew";
            Some(Finding::warning(code, message).mend(make))
        }
        Some((name, None)) if facts.slot_is_named_by_the_plan => {
            let message = "the plan's [relay] names this slot, and the source has no such slot";
            Some(Finding::blocker(code, message).about(name).mend(make))
        }
        Some((name, None)) => {
            let message = "the relay streams from a slot that the source does not have: it \
                           follows another standby, and what that one keeps cannot be seen";
            Some(Finding::warning(code, message).about(name))
        }
        Some((name, Some(slot))) if !slot.physical || slot.lost => {
            let message = if slot.lost {
                "the source has removed log that the relay still needs: the relay must be made anew"
            } else {
                "it is a logical slot: a standby streams from a physical one"
            };
            Some(Finding::blocker(code, message).about(name))
        }
        Some(_) => None,
    }
}

fn judge_replay(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let settings = &facts.server.settings;
    let name = "recovery_min_apply_delay";
    if let Some(delay) = settings
        .duration(name)
        .filter(|delay| *delay > Duration::ZERO)
    {
        let message = format!(
            "the relay replays everything {delay:?} late: in the pause, clients would wait for \
             that long"
        );
        findings.push(
            Finding::blocker("relay-delay", message)
                .about(name)
                .mend(format!(
                    "-- on the relay: {}",
                    setting_remedy(&facts.server, name, "0", false)
                )),
        );
    }
    if facts.behind_bytes > RELAY_BEHIND_BYTES {
        let message = format!(
            "the relay is {} behind the source: nothing that it has not replayed can be read",
            amount(facts.behind_bytes)
        );
        findings.push(Finding::warning("relay-behind", message));
    }
    let name = "max_standby_streaming_delay";
    let patience = settings.duration(name);
    if patience.is_some_and(|patience| patience < Duration::from_secs(10)) {
        let message = "the relay ends queries that hold its replay up for this long: tables that \
                       are altered, truncated or vacuumed to a smaller file while they are \
                       copied begin again";
        findings.push(
            Finding::warning("relay-conflicts", message)
                .about(name)
                .mend(format!(
                    "-- on the relay: {}",
                    setting_remedy(&facts.server, name, "'30s'", false)
                )),
        );
    }
    findings
}
