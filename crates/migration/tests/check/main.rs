//! The preflight against real servers.

mod bad_pair;
mod pairs;
mod plain_roles;

use std::collections::BTreeSet;

use trunkline_changes::{Side, TableName};
use trunkline_migration::checks::{self, CheckInput, Severity};
use trunkline_testkit::{Cluster, any_major, skip_unless_available};

use pairs::{codes, documented_role, everything, examine, good_pair, session};

#[tokio::test]
async fn one_database_on_both_sides_is_refused_and_two_of_one_server_are_not() {
    let cluster = Cluster::start_any();
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("postgres", "CREATE ROLE trunkline LOGIN");
    let findings = examine(&cluster, &cluster, |_| {}).await;
    assert!(
        codes(&findings, Severity::Blocker).contains("same-database"),
        "{findings:?}"
    );
    cluster.psql("postgres", "CREATE DATABASE other");
    let mut other = session(&cluster, "trunkline", "other").await;
    let mut from = session(&cluster, "trunkline", "app").await;
    let input = CheckInput {
        live: false,
        pg_dump: None,
        ..everything(&mut from, &mut other)
    };
    let findings = checks::examine(input).await.expect("facts");
    let all = codes(&findings, Severity::Notice);
    assert!(
        all.contains("same-server") && !all.contains("same-database"),
        "{all:?}"
    );
    assert!(
        all.contains("pg-dump-missing") && all.contains("no-tables@source"),
        "{all:?}"
    );
}

#[tokio::test]
async fn what_only_a_newer_source_knows_blocks_on_an_older_target() {
    skip_unless_available!(18, 12);
    let (source, target) = good_pair(18, 12);
    source.psql(
        "app",
        "SET ROLE app_owner;
         CREATE TABLE newer (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL,
                             xid xid8, spans int4multirange, UNIQUE NULLS NOT DISTINCT (xid));
         CREATE FUNCTION two() RETURNS int RETURN 2;",
    );
    for (side, cluster) in [(Side::Source, &source), (Side::Target, &target)] {
        cluster.psql("app", &documented_role(side, cluster.major()));
    }
    let findings = examine(&source, &target, |_| {}).await;
    let objects: BTreeSet<_> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocker)
        .map(|finding| (finding.code, finding.object.as_deref().unwrap_or_default()))
        .collect();
    let expected: BTreeSet<_> = [
        ("newer-feature", "public.newer.twice"),
        ("newer-feature", "public.newer_xid_key"),
        ("newer-feature", "public.two"),
        ("type-missing", "int4multirange"),
        ("type-missing", "xid8"),
    ]
    .into();
    assert_eq!(objects, expected, "{}", checks::render(&findings));
}

fn in_public(table: &TableName) -> bool {
    table.schema == "public" && !table.name.starts_with("measures")
}

#[tokio::test]
async fn tables_that_are_to_be_there_are_asked_for_and_need_no_pg_dump() {
    let major = any_major();
    skip_unless_available!(major);
    let (source, target) = good_pair(major, major);
    target.psql("app", "CREATE TABLE public.orders (id int PRIMARY KEY)");
    for (side, cluster) in [(Side::Source, &source), (Side::Target, &target)] {
        cluster.psql("app", &documented_role(side, major));
    }
    let findings = examine(&source, &target, |input| {
        input.structure = false;
        input.pg_dump = None;
        input.scope = &in_public;
    })
    .await;
    let expected: BTreeSet<_> = ["table-missing@target", "table-write@target"]
        .map(str::to_owned)
        .into();
    assert_eq!(
        codes(&findings, Severity::Blocker),
        expected,
        "{}",
        checks::render(&findings)
    );
}

/// The tables that are refused for what tells their rows apart.
async fn without_identity(major: u32) -> BTreeSet<String> {
    let (source, target) = good_pair(major, major);
    source.psql(
        "app",
        "SET ROLE app_owner;
         CREATE TABLE half_key (site int, h int GENERATED ALWAYS AS (site * 2) STORED NOT NULL,
                                PRIMARY KEY (site, h));
         CREATE TABLE other_key (site int, h int GENERATED ALWAYS AS (site * 2) STORED,
                                 PRIMARY KEY (site));
         CREATE TABLE whole_row (site int, h int GENERATED ALWAYS AS (site * 2) STORED);
         ALTER TABLE whole_row REPLICA IDENTITY FULL;",
    );
    for (side, cluster) in [(Side::Source, &source), (Side::Target, &target)] {
        cluster.psql("app", &documented_role(side, cluster.major()));
    }
    let findings = examine(&source, &target, |_| {}).await;
    let refused = findings
        .iter()
        .filter(|finding| finding.code == "replica-identity");
    refused
        .filter_map(|finding| finding.object.as_deref().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn keys_with_generated_columns_and_from_18_on_whole_rows_with_them_are_refused() {
    skip_unless_available!(15, 18);
    let half = "public.half_key".to_owned();
    assert_eq!(without_identity(15).await, [half.clone()].into());
    let whole = "public.whole_row".to_owned();
    assert_eq!(without_identity(18).await, [half, whole].into());
}
