//! What is missing for the way back is named, each once, with what mends it.

use trunkline_changes::{ReplicaIdentity, Side, TableName};

use super::super::settings::Settings;
use super::super::tables::{Table, example};
use super::super::{replication, role, server};
use super::{Facts, Obstacle, finding, judge, slot_limit};
use crate::way::Way;

fn facts(side: Side, settings: &[(&str, &str, &str)]) -> Facts {
    let mut all = vec![
        ("wal_level", "logical", ""),
        ("max_replication_slots", "10", ""),
        ("max_wal_senders", "10", ""),
    ];
    all.retain(|(name, ..)| !settings.iter().any(|(other, ..)| other == name));
    all.extend_from_slice(settings);
    Facts {
        side,
        role: role::example(),
        server: server::Facts {
            settings: Settings::of(&all),
            ..server::example(160_014)
        },
        replication: replication::Facts::default(),
        holes: Vec::new(),
    }
}

fn codes(found: &[Obstacle]) -> Vec<&'static str> {
    found.iter().map(|obstacle| obstacle.code).collect()
}

#[test]
fn two_sides_that_lack_nothing_have_no_obstacle() {
    let (source, target) = (facts(Side::Source, &[]), facts(Side::Target, &[]));
    assert_eq!(judge::followed(&target, &[]), []);
    assert_eq!(judge::published(&target, &[example("orders")]), []);
    assert_eq!(judge::applied(&source, &[]), []);
    assert_eq!(judge::fenced(&source), []);
    assert_eq!(judge::fenced(&target), []);
}

#[test]
fn a_target_that_cannot_be_followed_is_named_setting_by_setting() {
    let mut target = facts(
        Side::Target,
        &[
            ("wal_level", "replica", ""),
            ("max_replication_slots", "1", ""),
            ("max_wal_senders", "", ""),
        ],
    );
    target.role.replication = false;
    let found = judge::followed(&target, &[]);
    assert_eq!(
        codes(&found),
        [
            "way-back-wal-level",
            "way-back-replication",
            "way-back-slots",
            "way-back-senders"
        ]
    );
    assert!(found.iter().all(|obstacle| obstacle.remedy.is_some()));
    assert!(found[3].why.contains("cannot be told"), "{}", found[3].why);
}

#[test]
fn slots_of_other_consumers_that_are_still_to_be_made_need_room_too() {
    let named = ["debezium".to_owned()];
    let target = facts(Side::Target, &[("max_replication_slots", "2", "")]);
    assert_eq!(judge::followed(&target, &[]), []);
    assert_eq!(codes(&judge::followed(&target, &named)), ["way-back-slots"]);
}

#[test]
fn tables_that_cannot_be_published_where_clients_will_be_are_obstacles() {
    let foreign = Table {
        owned: false,
        ..example("orders")
    };
    let keyless = Table {
        identity: ReplicaIdentity::Nothing,
        ..example("log")
    };
    let found = judge::published(&facts(Side::Target, &[]), &[foreign, keyless]);
    assert_eq!(codes(&found), ["way-back-table-owner", "way-back-identity"]);
    let remedy = found[1].remedy.as_deref().unwrap_or_default();
    assert_eq!(
        remedy,
        "ALTER TABLE \"public\".\"log\" REPLICA IDENTITY DEFAULT;"
    );
}

#[test]
fn a_source_that_cannot_be_written_as_before_is_an_obstacle() {
    let mut source = facts(Side::Source, &[]);
    source.role.sets_replica_role = false;
    source.role.creates_in_database = false;
    let found = judge::applied(&source, &[TableName::new("public", "orders")]);
    assert_eq!(
        codes(&found),
        ["way-back-replica-role", "way-back-schema", "way-back-write"]
    );
    // On the target the schema stands.
    let mut target = facts(Side::Target, &[]);
    target.role.creates_in_database = false;
    assert_eq!(judge::applied(&target, &[]), []);
}

#[test]
fn a_side_that_could_not_be_closed_is_an_obstacle_whichever_it_is() {
    for side in [Side::Source, Side::Target] {
        let mut facts = facts(side, &[]);
        facts.role.owns_database = false;
        facts.role.signals_backends = false;
        facts.holes = vec!["the superuser chief writes".to_owned()];
        let found = judge::fenced(&facts);
        assert_eq!(
            codes(&found),
            ["database-owner", "signal-backend", "way-back-fence"]
        );
        assert!(found.iter().all(|obstacle| obstacle.side == side));
    }
}

#[test]
fn a_finding_says_that_the_cutover_will_be_refused_and_how_it_would_not() {
    let target = facts(Side::Target, &[("wal_level", "replica", "")]);
    let found = judge::followed(&target, &[]);
    let finding = finding(found.first().expect("found"), Way::There);
    assert!(finding.message.contains("the cutover will be refused"));
    assert!(finding.message.contains("--no-way-back"));
    assert_eq!(finding.side, Some(Side::Target));
}

#[test]
fn what_the_fence_itself_needs_is_not_said_to_be_given_up_with_the_way_back() {
    for (side, of_the_switch) in [(Side::Source, true), (Side::Target, false)] {
        let mut facts = facts(side, &[]);
        facts.role.owns_database = false;
        let found = judge::fenced(&facts);
        let finding = finding(found.first().expect("found"), Way::There);
        assert!(finding.message.contains("the cutover will be refused"));
        let given_up = finding.message.contains("--no-way-back");
        assert_eq!(given_up, !of_the_switch, "{}", finding.message);
    }
}

#[test]
fn a_limit_on_the_log_that_is_kept_is_said_and_refuses_nothing() {
    let limited = facts(Side::Target, &[("max_slot_wal_keep_size", "1024", "MB")]);
    assert_eq!(judge::followed(&limited, &[]), []);
    assert!(slot_limit(&limited.server).is_some());
    assert!(slot_limit(&facts(Side::Target, &[]).server).is_none());
}
