//! The text of each shape of statement.

use trunkline_changes::ReplicaIdentity;

use super::{Rows, Slot, copy_in, template};
use crate::batch::RowChange;
use crate::fixtures::{self, column, full, insert, key, row, table, update};
use crate::shape::Shape;
use crate::table::{Operator, TableKind, Written};

fn sql(route: &crate::route::Route, change: &RowChange) -> String {
    let shape = Shape::of_change(route, change).expect("everything was sent");
    template(route, &shape, Rows::One).sql
}

#[test]
fn an_insert_overrides_and_leaves_generated_columns_out() {
    let mut columns = vec![
        column("id", "int8"),
        column("a\"b", "text"),
        column("made", "text"),
    ];
    columns[2].written = Written::Never;
    let route = fixtures::route(table(1, columns), ReplicaIdentity::Default, 1);
    assert_eq!(
        sql(&route, &insert(&["1", "x"])),
        "INSERT INTO \"s\".\"t\" (\"id\", \"a\"\"b\") OVERRIDING SYSTEM VALUE \
         VALUES ($1::\"pg_catalog\".\"int8\", $2::\"pg_catalog\".\"text\")"
    );
    assert_eq!(
        template(&route, &Shape::insert(), Rows::Set).sql,
        "INSERT INTO \"s\".\"t\" (\"id\", \"a\"\"b\") OVERRIDING SYSTEM VALUE SELECT v.c0, v.c1 \
         FROM unnest($1::\"pg_catalog\".\"_int8\", $2::\"pg_catalog\".\"_text\") AS v(c0, c1)"
    );
    assert_eq!(
        copy_in(&route).sql,
        "COPY \"s\".\"t\" (\"id\", \"a\"\"b\") FROM STDIN"
    );
}

#[test]
fn an_update_sets_what_was_sent_and_finds_its_row_by_the_indexs_operator() {
    let mut target = table(
        1,
        vec![
            column("id", "text"),
            column("big", "text"),
            column("v", "int4"),
        ],
    );
    let mut ext = target.keys[0].clone();
    ext.columns[0].1 = Operator {
        schema: "Ext".into(),
        name: "=".into(),
    };
    target.keys = [ext].into();
    let route = fixtures::route(target, ReplicaIdentity::Default, 1);
    assert_eq!(
        sql(&route, &update(None, &["1", "?", "2"])),
        "UPDATE ONLY \"s\".\"t\" AS t SET \"v\" = $1::\"pg_catalog\".\"int4\" \
         WHERE t.\"id\" OPERATOR(\"Ext\".=) $2::\"pg_catalog\".\"text\""
    );
    let shape = Shape::update_by_key(&route, &row(["1", "?", "2"]));
    let set = template(&route, &shape, Rows::Set);
    assert_eq!(
        set.sql,
        "UPDATE ONLY \"s\".\"t\" AS t SET \"v\" = v.c0 \
         FROM unnest($1::\"pg_catalog\".\"_int4\", $2::\"pg_catalog\".\"_text\") AS v(c0, c1) \
         WHERE t.\"id\" OPERATOR(\"Ext\".=) v.c1"
    );
    assert_eq!(set.slots, [Slot::New(2), Slot::Old(0)]);
    assert!(
        sql(
            &route,
            &update(Some(key(&["0", "-", "-"])), &["1", "?", "2"])
        )
        .contains("SET \"id\" = $1")
    );
}

#[test]
fn a_partitioned_target_is_never_addressed_by_only() {
    let mut target = table(1, vec![column("id", "int4")]);
    target.kind = TableKind::Partitioned;
    let route = fixtures::route(target, ReplicaIdentity::Default, 1);
    let delete = RowChange::Delete(key(&["1"]));
    assert!(sql(&route, &delete).starts_with("DELETE FROM \"s\".\"t\" AS t WHERE"));
}

#[test]
fn an_identity_column_that_is_generated_always_is_checked_or_replaced_and_never_set() {
    let mut columns = vec![
        column("id", "int4"),
        column("n", "int4"),
        column("v", "text"),
    ];
    columns[1].written = Written::ByInsert;
    let route = fixtures::route(table(1, columns), ReplicaIdentity::Default, 1);
    let change = update(None, &["1", "2", "x"]);
    assert!(sql(&route, &change).ends_with(
        "SET \"v\" = $2::\"pg_catalog\".\"text\" WHERE t.\"id\" OPERATOR(\"pg_catalog\".=) \
         $3::\"pg_catalog\".\"int4\" AND t.\"n\" OPERATOR(pg_catalog.=) $1::\"pg_catalog\".\"int4\""
    ));
    let shape = Shape::of_change(&route, &change)
        .expect("everything was sent")
        .replaced();
    assert_eq!(
        template(&route, &shape, Rows::One).sql,
        "WITH gone AS (DELETE FROM ONLY \"s\".\"t\" AS t WHERE t.\"id\" OPERATOR(\"pg_catalog\".=) \
         $3::\"pg_catalog\".\"int4\" RETURNING t.*) INSERT INTO \"s\".\"t\" (\"id\", \"n\", \"v\") \
         OVERRIDING SYSTEM VALUE SELECT gone.\"id\", $1::\"pg_catalog\".\"int4\", \
         $2::\"pg_catalog\".\"text\" FROM gone"
    );
}

#[test]
fn without_a_key_one_row_with_the_very_same_values_is_found_by_its_place() {
    let columns = vec![
        column("a", "int4"),
        column("b", "json"),
        column("c", "text"),
    ];
    let route = fixtures::route(table(0, columns), ReplicaIdentity::Full, 0);
    let delete = RowChange::Delete(full(&["1", "{}", "-"]));
    assert_eq!(
        sql(&route, &delete),
        "DELETE FROM ONLY \"s\".\"t\" AS t WHERE t.ctid = (SELECT o.ctid FROM ONLY \"s\".\"t\" AS o \
         WHERE o.\"a\" OPERATOR(\"pg_catalog\".=) $1::\"pg_catalog\".\"int4\" \
         AND o.\"b\" IS DISTINCT FROM NULL AND pg_catalog.format('%s', o.\"b\") COLLATE pg_catalog.\"C\" \
         OPERATOR(pg_catalog.=) pg_catalog.format('%s', $2::\"pg_catalog\".\"json\") \
         AND o.\"c\" IS NOT DISTINCT FROM NULL LIMIT 1)"
    );
}

#[test]
fn a_value_whose_type_unnest_would_take_apart_goes_as_text() {
    let mut columns = vec![column("id", "int4"), column("pair", "pair")];
    std::sync::Arc::make_mut(&mut columns[1].value).array = None;
    let route = fixtures::route(table(1, columns), ReplicaIdentity::Default, 1);
    let set = template(&route, &Shape::insert(), Rows::Set).sql;
    assert!(set.contains("v.c1::\"pg_catalog\".\"pair\""), "{set}");
    assert!(set.contains("$2::pg_catalog.text[]"), "{set}");
}

#[test]
fn an_update_that_sends_nothing_new_still_counts_its_row() {
    let columns = vec![column("id", "int4"), column("big", "text")];
    let route = fixtures::route(table(1, columns), ReplicaIdentity::Default, 1);
    assert!(sql(&route, &update(None, &["1", "?"])).contains("SET \"id\" = t.\"id\""));
}
