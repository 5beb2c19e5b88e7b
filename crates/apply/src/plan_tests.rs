//! Which statements a batch becomes.

use std::sync::Arc;

use trunkline_changes::{ReplicaIdentity, TableName};

use super::{Body, Rank, Statement, plan, truncate, truncate_by_delete};
use crate::batch::{Entry, RowChange};
use crate::fixtures::{self, column, entry, insert, key, table, update};
use crate::fold::fold;
use crate::limits::Bounds;
use crate::route::Route;
use crate::table::Written;
use crate::truncate::{Truncate, Truncated};

fn route() -> Arc<Route> {
    let columns = vec![column("id", "int4"), column("v", "text")];
    fixtures::route(table(1, columns), ReplicaIdentity::Default, 1)
}

/// Each statement's first word (or `SET OF` that word), how many rows, and how it is given.
fn told(changes: Vec<RowChange>) -> Vec<String> {
    told_of(&route(), changes)
}

fn told_of(route: &Arc<Route>, changes: Vec<RowChange>) -> Vec<String> {
    let entries: Vec<Entry> = changes
        .into_iter()
        .map(|change| entry(route, change))
        .collect();
    let stages = fold(&entries).expect("nothing contradicts");
    let mut told: Vec<(String, usize)> = Vec::new();
    for statement in plan(&stages, &Bounds::default()) {
        let line = describe(&statement);
        match told.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => told.push((line, 1)),
        }
    }
    told.into_iter()
        .map(|(line, count)| format!("{count} {line}"))
        .collect()
}

fn describe(statement: &Statement<'_>) -> String {
    let verb = statement.sql.split(' ').next().unwrap_or_default();
    let rows = statement
        .expect
        .map_or("any".to_owned(), |rows| rows.to_string());
    match &statement.body {
        Body::Copy(_) => format!("COPY of {rows}"),
        Body::Params(_) if statement.sql.contains("unnest(") => format!("{verb} set of {rows}"),
        Body::Params(_) | Body::Row(..) => format!("{verb} of {rows}"),
    }
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|id| id.to_string()).collect()
}

fn inserts(count: usize) -> Vec<RowChange> {
    ids(count).iter().map(|id| insert(&[id, "x"])).collect()
}

#[test]
fn few_rows_go_one_by_one_many_as_a_set_and_very_many_by_copy() {
    assert_eq!(told(inserts(49)), ["49 INSERT of 1"]);
    assert_eq!(told(inserts(50)), ["1 INSERT set of 50"]);
    assert_eq!(told(inserts(4999)), ["1 INSERT set of 4999"]);
    assert_eq!(told(inserts(5000)), ["1 COPY of 5000"]);
    assert_eq!(told(Vec::new()), Vec::<String>::new());
}

#[test]
fn a_tables_deletes_come_first_and_its_inserts_last() {
    let mut changes = inserts(60);
    changes.extend(
        ids(60)
            .iter()
            .map(|id| update(None, &[&format!("u{id}"), "y"])),
    );
    changes.extend(
        ids(60)
            .iter()
            .map(|id| RowChange::Delete(key(&[&format!("d{id}"), "-"]))),
    );
    assert_eq!(
        told(changes),
        [
            "1 DELETE set of 60",
            "1 UPDATE set of 60",
            "1 INSERT set of 60"
        ]
    );
}

#[test]
fn updates_are_put_together_by_the_columns_that_were_sent() {
    let changes = ids(120).into_iter().enumerate().map(|(index, id)| {
        let v = if index % 2 == 0 { "x" } else { "?" };
        update(None, &[&id, v])
    });
    assert_eq!(told(changes.collect()), ["2 UPDATE set of 60"]);
}

#[test]
fn a_large_row_goes_by_itself_and_large_sets_are_cut() {
    let large = "x".repeat(2 << 20);
    let mut changes = inserts(60);
    changes.push(insert(&["1000", &large]));
    assert_eq!(told(changes), ["1 INSERT of 1", "1 INSERT set of 60"]);
    let smaller = "x".repeat(3_000);
    let changes = ids(60).iter().map(|id| insert(&[id, &smaller])).collect();
    assert_eq!(told(changes), ["60 INSERT of 1"]);
    // A value counts as its bytes, and a row as 24 more: 8 MiB are cut off each time.
    let ids = ids(12_000);
    let changes = ids.iter().take(5_000).map(|id| insert(&[id, &smaller]));
    assert_eq!(
        told(changes.collect()),
        ["1 COPY of 2771", "1 COPY of 2229"]
    );
    let small = "x".repeat(1_500);
    let changes = ids.iter().map(|id| update(None, &[id, &small])).collect();
    assert_eq!(
        told(changes),
        [
            "1 UPDATE set of 5491",
            "1 UPDATE set of 5490",
            "1 UPDATE set of 1019"
        ]
    );
}

#[test]
fn an_update_of_a_table_with_nothing_to_set_replaces_row_by_row() {
    let mut columns = vec![column("id", "int4")];
    columns[0].written = Written::ByInsert;
    let route = fixtures::route(table(1, columns), ReplicaIdentity::Default, 1);
    let changes = ids(60).iter().map(|id| update(None, &[id])).collect();
    assert_eq!(told_of(&route, changes), ["60 WITH of 1"]);
}

#[test]
fn a_truncate_names_each_table_alone_and_ranges_are_deleted() {
    let truncated = |ranges| Truncated {
        source: TableName::new("s", "t"),
        target: Arc::clone(&route().target),
        ranges,
    };
    let op = Truncate {
        tables: vec![
            truncated(None),
            truncated(Some((
                "id".to_owned(),
                vec![(None, Some(5)), (Some(-9), None)],
            ))),
        ],
        restart_identity: true,
    };
    let sql = |statements: Vec<Statement<'_>>| -> Vec<String> {
        statements
            .iter()
            .map(|statement| statement.sql.to_string())
            .collect()
    };
    let ranges = [
        "DELETE FROM ONLY \"s\".\"t\" WHERE true AND \"id\" OPERATOR(pg_catalog.<) '5'::bigint",
        "DELETE FROM ONLY \"s\".\"t\" WHERE true AND \"id\" OPERATOR(pg_catalog.>=) '-9'::bigint",
    ];
    let mut expected = vec!["TRUNCATE ONLY \"s\".\"t\" RESTART IDENTITY"];
    expected.extend(ranges);
    assert_eq!(sql(truncate(&op, op.restart_identity)), expected);
    let mut expected = vec!["DELETE FROM ONLY \"s\".\"t\""];
    expected.extend(ranges);
    assert_eq!(sql(truncate_by_delete(&op)), expected);
}

/// The last array of a set's parameters: the key that rows are found by.
fn last_array(statements: &[Statement<'_>]) -> String {
    let Body::Params(params) = &statements[0].body else {
        panic!("not a set: {:?}", statements[0].sql);
    };
    String::from_utf8_lossy(params.last().and_then(Option::as_deref).expect("an array"))
        .into_owned()
}

#[test]
fn a_set_is_in_the_order_of_its_key() {
    let route = route();
    let backwards: Vec<String> = ids(120).into_iter().rev().collect();
    let entries: Vec<Entry> = backwards
        .iter()
        .map(|id| entry(&route, update(None, &[id, "x"])))
        .collect();
    let stages = fold(&entries).expect("nothing contradicts");
    let quoted: Vec<String> = ids(120).iter().map(|id| format!("\"{id}\"")).collect();
    assert_eq!(
        last_array(&plan(&stages, &Bounds::default())),
        format!("{{{}}}", quoted.join(","))
    );
}

#[test]
fn the_order_of_a_set_goes_through_all_columns_of_its_key() {
    let columns = vec![column("a", "int4"), column("b", "int4")];
    let route = fixtures::route(table(1, columns), ReplicaIdentity::Default, 2);
    let row = |a: &str, b: &str| Rank::of(route.key().expect("a key"), &fixtures::row([a, b]));
    assert!(row("9", "10") < row("10", "2"));
    assert!(row("9", "2") < row("9", "10"));
    assert!(row("9", "2") == row("9", "2"));
    let long = "x".repeat(300);
    assert!(
        row(&long, "1") == row(&long, "2"),
        "what finds no room is left out"
    );
}
