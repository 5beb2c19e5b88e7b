//! Table mappings of AWS DMS, as they are read and as they are refused.

use trunkline_changes::TableName;

use super::Mappings;
use crate::scope::Scope;

fn name(schema: &str, table: &str) -> TableName {
    TableName::new(schema, table)
}

fn selection(rest: &str) -> String {
    format!(
        r#"{{"rule-type": "selection", "rule-id": "1", "rule-name": "all",
            "object-locator": {{"schema-name": "shop", "table-name": "%"}},
            "rule-action": "include"{rest}}}"#
    )
}

fn with_transformation(target: &str, action: &str, locator: &str, rest: &str) -> String {
    let all = selection("");
    format!(
        r#"{{"rules": [{all}, {{"rule-type": "transformation", "rule-id": "2", "rule-name": "two",
            "rule-target": "{target}", "rule-action": "{action}",
            "object-locator": {{{locator}}}{rest}}}]}}"#
    )
}

fn read(text: &str) -> Mappings {
    Mappings::read(text).expect("it is a table mapping")
}

fn refusal(text: &str) -> String {
    Mappings::read(text).expect_err("it is refused").to_string()
}

const TABLE: &str = r#""schema-name": "shop", "table-name": "%""#;
const COLUMN: &str = r#""schema-name": "shop", "table-name": "users", "column-name": "%""#;

#[test]
fn a_selection_includes_and_excludes_as_dms_does() {
    let mappings = read(
        r#"{"rules": [
        {"rule-type": "selection", "rule-id": "1", "rule-name": "1",
         "object-locator": {"schema-name": "shop", "table-name": "%"}, "rule-action": "include"},
        {"rule-type": "selection", "rule-id": 2, "rule-name": "2", "filters": [],
         "object-locator": {"schema-name": "shop", "table-name": "tmp[_]%"}, "rule-action": "exclude"},
        {"rule-type": "selection", "rule-id": "3", "rule-name": "3", "load-order": "2",
         "object-locator": {"schema-name": "hr", "table-name": "staff"}, "rule-action": "explicit"}
    ]}"#,
    );
    let scope = Scope::from_patterns(&mappings.include, &mappings.exclude).expect("patterns");
    for (schema, table, covered) in [
        ("shop", "orders", true),
        ("shop", "tmp_1", false),
        ("shop", "tmpx", true),
        ("hr", "staff", true),
        ("hr", "pay", false),
    ] {
        assert_eq!(scope.covers_table(&name(schema, table)), covered, "{table}");
    }
    assert!(!mappings.transform.filters_rows());
}

#[test]
fn names_of_schemas_and_tables_change_as_the_rules_say() {
    for (target, action, rest, expected) in [
        (
            "schema",
            "rename",
            r#", "value": "app""#,
            name("app", "Orders_x"),
        ),
        (
            "schema",
            "add-prefix",
            r#", "value": "new_""#,
            name("new_shop", "Orders_x"),
        ),
        ("table", "rename", r#", "value": "o""#, name("shop", "o")),
        (
            "table",
            "add-suffix",
            r#", "value": "_2""#,
            name("shop", "Orders_x_2"),
        ),
        (
            "table",
            "remove-suffix",
            r#", "value": "_x""#,
            name("shop", "Orders"),
        ),
        (
            "table",
            "replace-prefix",
            r#", "value": "Bill", "old-value": "Ord""#,
            name("shop", "Billers_x"),
        ),
        ("table", "convert-lowercase", "", name("shop", "orders_x")),
        ("table", "convert-uppercase", "", name("shop", "ORDERS_X")),
    ] {
        let mappings = read(&with_transformation(target, action, TABLE, rest));
        let place = mappings.transform.place(&name("shop", "Orders_x"));
        assert_eq!(place, expected, "{target} {action}");
    }
}

#[test]
fn columns_are_renamed_removed_or_taken_alone() {
    let column = |action: &str, rest: &str, column: &str| {
        let mappings = read(&with_transformation("column", action, COLUMN, rest));
        mappings.transform.column(&name("shop", "users"), column)
    };
    let lower = column("convert-lowercase", "", "Email");
    assert_eq!(lower.as_deref(), Some("email"));
    let prefix = column("add-prefix", r#", "value": "u_""#, "id");
    assert_eq!(prefix.as_deref(), Some("u_id"));
    assert_eq!(column("remove-column", "", "id"), None);
    let one = r#""schema-name": "%", "table-name": "users", "column-name": "id""#;
    let only = read(&with_transformation("column", "include-column", one, ""));
    let of = |table: &str, column: &str| only.transform.column(&name("shop", table), column);
    assert_eq!(of("users", "id").as_deref(), Some("id"));
    assert_eq!(of("users", "email"), None);
    assert_eq!(of("orders", "email").as_deref(), Some("email"));
}

#[test]
fn filters_are_joined_by_and_and_their_conditions_by_or() {
    let filters = r#", "filters": [
        {"filter-type": "source", "column-name": "id", "filter-conditions": [
            {"filter-operator": "ste", "value": "10"},
            {"filter-operator": "between", "start-value": "50", "end-value": "75"},
            {"filter-operator": "gte", "value": 100}]},
        {"filter-type": "source", "column-name": "Who's", "filter-conditions": [
            {"filter-operator": "noteq", "value": "it's"}]},
        {"filter-type": "source", "column-name": "gone", "filter-conditions": [
            {"filter-operator": "null"}]}]"#;
    let all = selection(filters);
    let mappings = read(&format!(r#"{{"rules": [{all}]}}"#));
    assert_eq!(
        mappings.transform.condition(&name("shop", "users")),
        Some(
            "(\"id\" <= '10' OR \"id\" BETWEEN '50' AND '75' OR \"id\" >= '100') AND \
             (\"Who's\" <> 'it''s') AND (\"gone\" IS NULL)"
        )
    );
}

#[test]
fn what_is_not_supported_is_refused_by_the_rules_id_and_name() {
    for (target, action, locator, rest, words) in [
        (
            "column",
            "add-column",
            COLUMN,
            r#", "value": "x", "expression": "1""#,
            "add-column",
        ),
        (
            "column",
            "change-data-type",
            COLUMN,
            r#", "data-type": {}"#,
            "change-data-type",
        ),
        (
            "column",
            "data-masking-digits-mask",
            COLUMN,
            "",
            "data-masking-digits-mask",
        ),
        (
            "column",
            "rename",
            COLUMN,
            r#", "value": "a", "data-type": {"type": "int8"}"#,
            "data-type",
        ),
        (
            "table",
            "define-primary-key",
            TABLE,
            "",
            "define-primary-key",
        ),
        (
            "table-tablespace",
            "rename",
            TABLE,
            r#", "value": "fast""#,
            "table-tablespace",
        ),
        ("table", "remove-column", TABLE, "", "remove-column"),
        ("table", "rename", TABLE, "", "value"),
    ] {
        let why = refusal(&with_transformation(target, action, locator, rest));
        assert!(why.contains("rule-id 2 \"two\""), "{why}");
        assert!(why.contains(words), "{why}");
    }
    let settings = selection("").replace(
        r#""rule-action": "include""#,
        r#""parallel-load": {"type": "partitions-auto"}, "rule-action": "include""#,
    );
    let why = refusal(&format!(r#"{{"rules": [{settings}]}}"#));
    assert!(
        why.contains("parallel-load") && why.contains("rule-id 1"),
        "{why}"
    );
    let table_settings = selection("").replace(r#""selection""#, r#""table-settings""#);
    let why = refusal(&format!(r#"{{"rules": [{table_settings}]}}"#));
    assert!(why.contains("table-settings"), "{why}");
}

#[test]
fn what_is_not_a_table_mapping_is_refused() {
    for text in ["", "[]", "{}", r#"{"rules": []}"#, r#"{"rules": [1]}"#] {
        assert!(Mappings::read(text).is_err(), "{text}");
    }
    let view = selection("").replace(
        r#""table-name": "%""#,
        r#""table-name": "%", "table-type": "view""#,
    );
    assert!(refusal(&format!(r#"{{"rules": [{view}]}}"#)).contains("view"));
    let explicit = selection("").replace("include", "explicit");
    assert!(refusal(&format!(r#"{{"rules": [{explicit}]}}"#)).contains("wildcards"));
}
