//! The judgements on invented servers.

use std::collections::BTreeMap;

use super::super::finding::{Finding, Severity};
use super::judge::{company, obstacles, settings};
use super::{Company, Facts, StandbyFacts};
use crate::standby::StandbyLook;

fn server(in_recovery: bool) -> Facts {
    Facts {
        version: "17.4".parse().expect("a version"),
        system_id: Some("7".to_owned()),
        in_recovery,
        settings: BTreeMap::from([("max_connections".to_owned(), "100".to_owned())]),
        collations: [Some("2.36".to_owned()), None],
    }
}

fn standby() -> StandbyFacts {
    StandbyFacts {
        look: StandbyLook {
            is_standby: true,
            replayed: None,
            paused: false,
            receives: true,
        },
        may_promote: true,
        without_files: Vec::new(),
    }
}

fn blockers(findings: &[Finding]) -> Vec<&'static str> {
    let blockers = findings.iter().filter(|f| f.severity == Severity::Blocker);
    blockers.map(|finding| finding.code).collect()
}

#[test]
fn a_standby_that_follows_its_source_is_fit() {
    let (source, target) = (server(false), server(true));
    assert_eq!(obstacles(&source, &target, &standby()), []);
    assert_eq!(settings(&source, &target), []);
    assert_eq!(company(&Company::default()), []);
}

#[test]
fn what_is_not_a_copy_of_the_source_is_refused() {
    let other = Facts {
        system_id: Some("8".to_owned()),
        version: "16.1".parse().expect("a version"),
        ..server(false)
    };
    let found = obstacles(&server(false), &other, &standby());
    let codes = ["versions-differ", "other-system", "not-a-standby"];
    assert_eq!(blockers(&found), codes);
}

#[test]
fn a_standby_that_rests_or_may_not_be_promoted_is_refused() {
    let mut standby = standby();
    standby.look.paused = true;
    standby.look.receives = false;
    standby.may_promote = false;
    standby.without_files = vec!["postgis".to_owned()];
    let found = obstacles(&server(false), &server(true), &standby);
    let codes = [
        "standby-paused",
        "standby-silent",
        "standby-promote",
        "extension-missing",
    ];
    assert_eq!(blockers(&found), codes);
}

#[test]
fn a_machine_that_sorts_otherwise_is_refused_and_an_unknown_one_is_not() {
    let mut target = server(true);
    target.collations[0] = Some("2.31".to_owned());
    let found = obstacles(&server(false), &target, &standby());
    assert_eq!(blockers(&found), ["collation-version"]);
    target.collations[0] = None;
    assert_eq!(obstacles(&server(false), &target, &standby()), []);
}

#[test]
fn a_setting_may_be_larger_on_the_standby_and_never_smaller() {
    let mut target = server(true);
    let mut set = |value: &str| {
        target
            .settings
            .insert("max_connections".to_owned(), value.to_owned());
        blockers(&settings(&server(false), &target))
    };
    assert_eq!(set("99"), ["setting-smaller"]);
    assert!(set("101").is_empty());
}
