//! The judgements on a source and its standby, as pure functions.

use trunkline_changes::Side;

use super::super::finding::Finding;
use super::{Company, Facts, StandbyFacts};

/// Settings that a standby may not have smaller than its source (manual, "Hot Standby",
/// "Administrator's Overview").
pub(super) const NOT_SMALLER: [&str; 5] = [
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

/// What makes this pair of servers, as they are now, unfit.
pub(super) fn obstacles(source: &Facts, target: &Facts, standby: &StandbyFacts) -> Vec<Finding> {
    let mut findings = lineage(source, target);
    if !target.in_recovery {
        return findings;
    }
    let look = &standby.look;
    if look.paused {
        let paused = Finding::blocker("standby-paused", "the standby's replay is paused");
        findings.push(
            paused
                .on(Side::Target)
                .mend("SELECT pg_wal_replay_resume();"),
        );
    }
    if !look.receives {
        let message = "the standby is not connected to the source (pg_stat_wal_receiver is empty)";
        let remedy = "-- see the standby's log; primary_conninfo, pg_hba.conf of the source";
        let silent = Finding::blocker("standby-silent", message);
        findings.push(silent.on(Side::Target).mend(remedy));
    }
    if !standby.may_promote {
        let message = "our role may not promote the standby";
        let remedy = "-- on the source, from where it comes to the standby:\n\
                      GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO our_role;";
        let finding = Finding::blocker("standby-promote", message);
        findings.push(finding.on(Side::Target).mend(remedy));
    }
    for name in &standby.without_files {
        let message = format!(
            "the extension {name} is installed, and its files are missing on the target's machine"
        );
        let finding = Finding::blocker("extension-missing", message).on(Side::Target);
        let remedy = format!("-- install {name}'s package on the target's machine");
        findings.push(finding.about(name).mend(remedy));
    }
    findings.extend(sorting(source, target));
    findings
}

/// Whether the one is a copy of the other at all.
fn lineage(source: &Facts, target: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.in_recovery {
        let message = "the source is a standby itself: it cannot be fenced, and nothing flows back";
        let finding = Finding::blocker("source-standby", message).on(Side::Source);
        findings.push(finding.mend("-- name the primary as the source"));
    }
    if source.version.major() != target.version.major() {
        let message = format!(
            "a standby has its source's major version: the source is {}, the target {}",
            source.version, target.version
        );
        findings.push(Finding::blocker("versions-differ", message));
    } else if source.version != target.version {
        let message = format!(
            "the source is {}, the target {}: the minor versions differ",
            source.version, target.version
        );
        findings.push(Finding::notice("minor-versions-differ", message));
    }
    match (&source.system_id, &target.system_id) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            let message = format!(
                "the target is not a copy of the source: its system identifier is {theirs}, not \
                 {ours}"
            );
            findings.push(Finding::blocker("other-system", message).on(Side::Target));
        }
        (Some(_), Some(_)) => {}
        _ => {
            let message = "whether the target is a copy of the source cannot be seen: a system \
                           identifier is hidden";
            findings.push(Finding::warning("other-system", message));
        }
    }
    if !target.in_recovery {
        let message = "the target is not a standby: it takes writes of its own";
        let remedy = "-- make it a standby of the source with pg_basebackup -R (or pg_rewind -R)";
        let finding = Finding::blocker("not-a-standby", message);
        findings.push(finding.on(Side::Target).mend(remedy));
    }
    findings
}

/// A library that sorts otherwise makes the indexes over text that come along wrong.
fn sorting(source: &Facts, target: &Facts) -> Vec<Finding> {
    let libraries = ["the C library", "ICU"].into_iter();
    let pairs = source.collations.iter().zip(&target.collations);
    let differ = libraries.zip(pairs).filter_map(|(library, pair)| match pair {
        (Some(ours), Some(theirs)) if ours != theirs => {
            let message = format!(
                "{library} sorts text by version {ours} on the source and {theirs} on the target: \
                 indexes over text that come with the standby could be wrong there"
            );
            let finding = Finding::blocker("collation-version", message).on(Side::Target);
            Some(finding.mend("-- run the target on the source's release of the operating system"))
        }
        _ => None,
    });
    differ.collect()
}

/// What follows from how the two servers are set.
pub(super) fn settings(source: &Facts, target: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let number = |facts: &Facts, name: &str| -> Option<i64> {
        facts
            .settings
            .get(name)
            .and_then(|value| value.parse().ok())
    };
    for name in NOT_SMALLER {
        if let (Some(ours), Some(theirs)) = (number(source, name), number(target, name))
            && theirs < ours
        {
            let message = format!(
                "a standby may not have less than its source: {ours} on the source, {theirs} on \
                 the target"
            );
            let remedy =
                format!("ALTER SYSTEM SET {name} = {ours}; -- on the target, then restart");
            let finding = Finding::blocker("setting-smaller", message).on(Side::Target);
            findings.push(finding.about(name).mend(remedy));
        }
    }
    let names = source.settings.keys().chain(target.settings.keys());
    let mut others: Vec<&String> = names
        .filter(|name| source.settings.get(*name) != target.settings.get(*name))
        .collect();
    others.sort();
    others.dedup();
    let described: Vec<String> = others
        .iter()
        .map(|name| described(name, source, target))
        .collect();
    if !described.is_empty() {
        let message = format!(
            "these settings differ (source, target): {}",
            described.join("; ")
        );
        findings.push(Finding::notice("settings-differ", message));
    }
    if let Some(missing) = preloaded(source, target) {
        findings.push(missing);
    }
    findings
}

fn described(name: &str, source: &Facts, target: &Facts) -> String {
    let value = |facts: &Facts| {
        let value = facts.settings.get(name);
        value.map_or("default".to_owned(), Clone::clone)
    };
    format!("{name} {}, {}", value(source), value(target))
}

/// Libraries that only the source loads when it starts.
fn preloaded(source: &Facts, target: &Facts) -> Option<Finding> {
    let name = "shared_preload_libraries";
    let list = |facts: &Facts| -> Vec<String> {
        let value = facts.settings.get(name).map_or("", String::as_str);
        let names = value.split(',').map(|one| one.trim().to_owned());
        names.filter(|one| !one.is_empty()).collect()
    };
    let there = list(target);
    let missing: Vec<String> = list(source)
        .into_iter()
        .filter(|library| !there.contains(library))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let message = format!(
        "the target does not load {} when it starts",
        missing.join(", ")
    );
    let remedy = format!(
        "ALTER SYSTEM SET {name} = {}; -- on the target, then restart",
        list(source).join(", ")
    );
    let finding = Finding::warning("library-not-loaded", message);
    Some(finding.on(Side::Target).about(name).mend(remedy))
}

/// What a copy of the whole server brings along, and what it does not.
pub(super) fn company(company: &Company) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, sessions) in &company.databases {
        let what = "this database comes along, too; its clients are neither held nor moved, and \
                    what they write after the promotion does not reach the target";
        let finding = if *sessions > 0 {
            let message = format!("{what}; {sessions} sessions are in it now");
            Finding::warning("other-database", message)
        } else {
            Finding::notice("other-database", what)
        };
        findings.push(finding.on(Side::Source).about(name));
    }
    if !company.tablespaces.is_empty() {
        let message = "tables lie in tablespaces: the standby needs their folders, and on one \
                       machine other ones";
        let names = company.tablespaces.join(", ");
        findings.push(Finding::notice("tablespaces", message).about(names));
    }
    for slot in &company.slots {
        let message = "this logical slot does not come along: its consumer ends with the source";
        let finding = Finding::warning("slot-left", message).on(Side::Source);
        findings.push(finding.about(slot).mend(format!(
            "-- in the plan: [downstream] slots = [\"{slot}\"] makes it again on the target"
        )));
    }
    if company.unlogged_tables > 0 {
        let message = format!(
            "{} unlogged tables are empty on a standby: those of the plan are copied in the pause",
            company.unlogged_tables
        );
        findings.push(Finding::warning("unlogged", message).on(Side::Source));
    }
    findings
}
