//! The rules on roles, without a server.

use super::super::tables::{Tables, example, examples};
use super::super::{Intent, intent_of_a_live_move, role};
use super::{Facts, Known, Part, judge};
use crate::checks::{Finding, Severity};

const FULL: Known = Known {
    superuser: false,
    has_its_rights: true,
    may_give: true,
};

fn facts(known: &[(&str, Known)], creators: &[&str]) -> Facts {
    let part = |owns| Part {
        owns,
        by_table: owns,
        objects: 1,
        example: "public.t".to_owned(),
        superuser: false,
    };
    let creators = creators.iter().map(|&name| name.to_owned()).collect();
    Facts {
        parts: [
            ("app_owner".to_owned(), part(true)),
            ("reader".to_owned(), part(false)),
        ]
        .into(),
        known: known
            .iter()
            .map(|(name, known)| ((*name).to_owned(), *known))
            .collect(),
        schemas: [("public".to_owned(), (true, creators))].into(),
    }
}

fn run(facts: &Facts, tables: &Tables, intent: Intent) -> Vec<Finding> {
    judge(facts, tables, &role::example(), intent)
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn roles_that_are_there_and_open_are_no_finding() {
    let facts = facts(
        &[("app_owner", FULL), ("reader", Known::default())],
        &["app_owner"],
    );
    assert_eq!(
        run(
            &facts,
            &examples(vec![example("t")]),
            intent_of_a_live_move()
        ),
        []
    );
}

#[test]
fn a_missing_role_blocks_with_the_statement_that_makes_it() {
    let findings = run(
        &facts(&[], &[]),
        &examples(vec![example("t")]),
        intent_of_a_live_move(),
    );
    assert_eq!(codes(&findings), ["role-missing", "role-missing"]);
    assert_eq!(
        findings[0].remedy.as_deref(),
        Some("CREATE ROLE \"app_owner\" NOLOGIN;")
    );
}

#[test]
fn a_role_that_only_matters_outside_the_tables_does_not_block_a_part_of_the_database() {
    let tables = Tables {
        list: vec![example("t")],
        complete: false,
    };
    let findings = run(&facts(&[], &[]), &tables, intent_of_a_live_move());
    let severities: Vec<_> = findings.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Blocker, Severity::Warning]);
}

#[test]
fn owners_and_grants_that_stay_behind_ask_for_no_role() {
    let nothing = facts(&[], &[]);
    let tables = examples(vec![example("t")]);
    let intent = Intent {
        no_owner: true,
        no_privileges: true,
        ..intent_of_a_live_move()
    };
    assert_eq!(run(&nothing, &tables, intent), []);
    let grants = Intent {
        no_privileges: false,
        ..intent
    };
    assert_eq!(
        run(&nothing, &tables, grants)[0].object.as_deref(),
        Some("reader")
    );
    let present = Intent {
        structure: false,
        ..intent_of_a_live_move()
    };
    assert_eq!(run(&nothing, &tables, present), []);
}

#[test]
fn an_owner_must_be_ours_to_give_to_and_may_hold_tables_in_the_schema() {
    let stranger = Known {
        may_give: false,
        ..FULL
    };
    let facts = facts(
        &[("app_owner", stranger), ("reader", Known::default())],
        &[],
    );
    let findings = run(
        &facts,
        &examples(vec![example("t")]),
        intent_of_a_live_move(),
    );
    assert_eq!(
        codes(&findings),
        ["owner-membership", "owner-schema-create"]
    );
    assert_eq!(
        findings[0].remedy.as_deref(),
        Some("GRANT \"app_owner\" TO \"trunkline\";")
    );
    assert_eq!(
        findings[1].remedy.as_deref(),
        Some("GRANT CREATE ON SCHEMA \"public\" TO \"app_owner\";")
    );
}

#[test]
fn a_superuser_as_owner_is_not_granted() {
    let known = Known {
        superuser: true,
        has_its_rights: false,
        may_give: false,
    };
    let facts = facts(
        &[("app_owner", known), ("reader", Known::default())],
        &["app_owner"],
    );
    let findings = run(
        &facts,
        &examples(vec![example("t")]),
        intent_of_a_live_move(),
    );
    assert!(
        findings[0]
            .remedy
            .as_deref()
            .is_some_and(|remedy| !remedy.contains("GRANT"))
    );
}
