//! Which changes the copy holds.

use trunkline_changes::{Column, Relation, ReplicaIdentity, TableName, Value};

use super::{CopyCover, CoverError, KeyRange, TableCover, TruncateScope};
use crate::batch::RowChange;
use crate::fixtures::{full, insert, key, update};

fn relation(identity: ReplicaIdentity) -> Relation {
    let column = |name: &str, key: bool| Column {
        name: name.into(),
        key: key || identity == ReplicaIdentity::Full,
        type_oid: 25,
        type_modifier: -1,
    };
    Relation {
        id: 1,
        name: TableName::new("s", "t"),
        identity,
        columns: vec![column("id", true), column("v", false)],
    }
}

fn table() -> TableName {
    TableName::new("s", "t")
}

fn whole() -> CopyCover {
    let mut cover = CopyCover::new();
    cover.insert(
        table(),
        TableCover::Whole("100:110:105".parse().expect("a snapshot")),
    );
    cover
}

/// Below 100 read when 200 was still running, from 100 on after it.
fn ranged() -> CopyCover {
    let range = |lower, upper, view: &str| KeyRange {
        lower,
        upper,
        view: view.parse().expect("a snapshot"),
    };
    let ranges = vec![
        range(None, Some(100), "200:210:200,205"),
        range(Some(100), None, "205:220:205"),
    ];
    let mut cover = CopyCover::new();
    cover.insert(
        table(),
        TableCover::ByKey {
            column: "id".into(),
            ranges,
        },
    );
    cover
}

fn decided(
    cover: &CopyCover,
    xid: u32,
    change: RowChange,
) -> Result<Option<RowChange>, CoverError> {
    cover.decide(&relation(ReplicaIdentity::Default), xid, change)
}

#[test]
fn what_the_snapshot_saw_is_left_out() {
    let cover = whole();
    for (xid, applied) in [(99, false), (104, false), (105, true), (110, true)] {
        let change = decided(&cover, xid, insert(&["1", "x"])).expect("it can be told");
        assert_eq!(change.is_some(), applied, "{xid}");
    }
    assert!(!cover.precedes(109));
    assert!(cover.precedes(110));
}

#[test]
fn a_table_whose_copy_is_not_recorded_is_an_error() {
    let error =
        decided(&CopyCover::new(), 1, insert(&["1", "x"])).expect_err("unknown is never yes");
    assert!(error.to_string().contains("s.t"), "{error}");
    let applied = decided(&CopyCover::nothing_copied(), 1, insert(&["1", "x"]));
    assert!(applied.expect("it can be told").is_some());
}

#[test]
fn each_range_has_its_own_verdict() {
    let cover = ranged();
    let cases = [
        (insert(&["1", "x"]), true),
        (insert(&["100", "x"]), false),
        (RowChange::Delete(key(&["-5", "-"])), true),
        (RowChange::Delete(key(&["500", "-"])), false),
        (update(None, &["99", "x"]), true),
        (update(None, &["100", "x"]), false),
    ];
    for (change, applied) in cases {
        let verdict = decided(&cover, 200, change.clone()).expect("it can be told");
        assert_eq!(verdict, applied.then_some(change));
    }
}

#[test]
fn a_row_that_moves_between_ranges_is_inserted_or_deleted() {
    let cover = ranged();
    let out = update(Some(key(&["1", "-"])), &["100", "x"]);
    assert_eq!(
        decided(&cover, 200, out),
        Ok(Some(RowChange::Delete(key(&["1", "-"]))))
    );
    let into = update(Some(key(&["100", "-"])), &["1", "x"]);
    assert_eq!(
        decided(&cover, 200, into.clone()),
        Ok(Some(insert(&["1", "x"])))
    );
    assert_eq!(decided(&cover, 205, into.clone()), Ok(Some(into.clone())));
    assert_eq!(decided(&cover, 201, into), Ok(None));
}

#[test]
fn a_moved_row_with_an_unsent_value_is_refused_unless_the_old_row_has_it() {
    let cover = ranged();
    let unsent = update(Some(key(&["100", "-"])), &["1", "?"]);
    assert!(decided(&cover, 200, unsent).is_err());
    let change = update(Some(full(&["100", "big"])), &["1", "?"]);
    let verdict = cover.decide(&relation(ReplicaIdentity::Full), 200, change);
    let Ok(Some(RowChange::Insert(row))) = verdict else {
        panic!("an insert: {verdict:?}");
    };
    assert_eq!(row.value(1), Value::Text(b"big"));
}

#[test]
fn a_key_in_no_range_or_without_a_value_is_refused() {
    let mut cover = CopyCover::new();
    let range = KeyRange {
        lower: Some(1),
        upper: Some(5),
        view: "5:5:".parse().expect("a snapshot"),
    };
    cover.insert(
        table(),
        TableCover::ByKey {
            column: "id".into(),
            ranges: vec![range],
        },
    );
    for change in [
        insert(&["0", "x"]),
        insert(&["-", "x"]),
        insert(&["one", "x"]),
    ] {
        assert!(decided(&cover, 3, change).is_err());
    }
}

#[test]
fn a_truncate_empties_only_what_was_copied_before_it() {
    let cover = ranged();
    let scope = |xid| {
        cover
            .decide_truncate(&table(), xid)
            .expect("it can be told")
    };
    assert_eq!(scope(205), TruncateScope::Table);
    assert_eq!(scope(201), TruncateScope::Nothing);
    let lower = TruncateScope::Ranges {
        column: "id".into(),
        ranges: vec![(None, Some(100))],
    };
    assert_eq!(scope(200), lower);
}
