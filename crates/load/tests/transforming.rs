//! What rules about names, columns and rows say of tables, and which rules are refused.

use std::sync::Arc;
use trunkline_changes::{ReplicaIdentity, TableName};

use trunkline_load::{
    ColumnType, Layout, Naming, Renames, Shape, Table, TableColumn, TableKind, TableRules,
    Transform,
};

fn name(text: &str) -> TableName {
    let (schema, table) = text.split_once('.').expect("schema.table");
    TableName::new(schema, table)
}

/// A table whose first column is its key.
fn table(text: &str, columns: &[&str]) -> Table {
    let column = |column: &&str| TableColumn {
        name: (*column).into(),
        column_type: Arc::new(ColumnType {
            schema: "pg_catalog".to_owned(),
            name: "int4".to_owned(),
            base: "pg_catalog.int4".to_owned(),
            portable_binary: true,
        }),
        generated: false,
        identity: None,
        not_null: false,
    };
    let key: Box<[_]> = columns.iter().take(1).map(|c| (*c).into()).collect();
    let shape = Shape {
        identity: ReplicaIdentity::Default,
        identity_columns: key.clone(),
        primary_key: key,
        columns: columns.iter().map(column).collect(),
    };
    Table {
        oid: 0,
        name: name(text),
        kind: TableKind::Ordinary,
        unlogged: false,
        data: true,
        shape: Arc::new(shape),
        origin: Arc::default(),
        estimated_rows: 0,
        heap_bytes: 0,
        toast_bytes: 0,
    }
}

fn partition(text: &str, of: &str, columns: &[&str]) -> Table {
    let mut table = table(text, columns);
    Arc::make_mut(&mut table.origin).partition_of = Some(name(of).into());
    table
}

fn rules(of: &str, rules: TableRules) -> Transform {
    let mut transform = Transform::none();
    transform.add_table(&name(of), rules);
    transform
}

fn leaving_out(of: &str, columns: &[&str]) -> Transform {
    let leave_out = columns.iter().map(|column| (*column).to_owned()).collect();
    rules(
        of,
        TableRules {
            leave_out,
            ..TableRules::default()
        },
    )
}

fn renaming(of: &str, columns: &[(&str, &str)]) -> Transform {
    let pairs = columns.iter();
    let rename_columns = pairs
        .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
        .collect();
    rules(
        of,
        TableRules {
            rename_columns,
            ..TableRules::default()
        },
    )
}

fn moving(of: &str, to: &str) -> Transform {
    rules(
        of,
        TableRules {
            to: Some(name(to)),
            ..TableRules::default()
        },
    )
}

fn refusal(transform: &Transform, tables: &[Table]) -> String {
    let refused = transform.refuse_unfit(tables);
    refused.expect_err("it is refused").to_string()
}

#[test]
fn columns_and_rows_of_a_partition_go_by_its_partitioned_table() {
    let mut root = table("public.log", &["at", "secret", "what"]);
    root.kind = TableKind::Partitioned;
    let tables = [
        root,
        partition("public.log_1", "public.log", &["at", "what", "secret"]),
    ];
    let transform = rules(
        "public.log",
        TableRules {
            to: Some(name("app.log")),
            leave_out: vec!["secret".to_owned()],
            rename_columns: [("what".to_owned(), "text".to_owned())].into(),
            condition: Some("at > 5".to_owned()),
        },
    );
    transform.refuse_unfit(&tables).expect("it fits");
    let layout = Layout::new(&transform, &tables, Naming::Final);
    let leaf = name("public.log_1");
    assert_eq!(layout.place(&leaf), &leaf);
    assert_eq!(layout.columns(&leaf).there("what"), Some("text"));
    assert_eq!(layout.columns(&leaf).there("secret"), None);
    assert_eq!(layout.condition(&leaf), Some("at > 5"));
    // Until it is renamed, only what stays behind is missing.
    let restored = Layout::new(&transform, &tables, Naming::AsOnSource);
    assert_eq!(restored.place(&name("public.log")), &name("public.log"));
    assert_eq!(restored.columns(&leaf).there("what"), Some("what"));
    assert_eq!(restored.columns(&leaf).there("secret"), None);
    let renames = Renames::new(&transform, &tables, &["public".to_owned()].into());
    assert_eq!(renames.schemas, ["app".to_owned()].into());
    assert_eq!(renames.columns.len(), 1, "partitions follow");
}

#[test]
fn a_table_of_the_targets_own_is_not_taken_for_one_that_stands_elsewhere() {
    let tables = [table("public.a", &["id"])];
    let layout = Layout::new(&moving("public.a", "public.b"), &tables, Naming::Final);
    assert_eq!(layout.source_of(&name("public.b")), Some(&name("public.a")));
    assert_eq!(layout.source_of(&name("public.a")), None);
    assert_eq!(layout.source_of(&name("public.c")), Some(&name("public.c")));
}

#[test]
fn rules_that_match_nothing_are_refused() {
    let tables = [
        table("public.a", &["id", "x"]),
        partition("public.a_1", "public.a", &["id", "x"]),
    ];
    for transform in [
        moving("public.b", "public.c"),
        leaving_out("public.a", &["y"]),
        renaming("public.a", &[("y", "z")]),
        leaving_out("public.a_1", &["x"]),
        rules(
            "public.a_1",
            TableRules {
                condition: Some("true".to_owned()),
                ..TableRules::default()
            },
        ),
    ] {
        let why = refusal(&transform, &tables);
        assert!(why.contains("matches n"), "{why}");
    }
    let mut schema = Transform::none();
    schema.rename_schema("nowhere", "app");
    assert!(refusal(&schema, &tables).contains("nowhere"));
}

#[test]
fn two_things_never_get_one_name() {
    let tables = [
        table("public.a", &["id", "x", "y"]),
        table("public.b", &["id"]),
    ];
    let why = refusal(&moving("public.a", "public.b"), &tables);
    assert!(why.contains("would both be public.b"), "{why}");
    let why = refusal(&renaming("public.a", &[("x", "y")]), &tables);
    assert!(why.contains("would both be called y"), "{why}");
    // An exchange is none.
    let exchange = renaming("public.a", &[("x", "y"), ("y", "x")]);
    exchange.refuse_unfit(&tables).expect("an exchange");
    let mut twice = moving("public.a", "public.c");
    let again = TableRules {
        to: Some(name("public.d")),
        ..TableRules::default()
    };
    twice.add_table(&name("public.a"), again);
    assert!(refusal(&twice, &tables).contains("more than one rule"));
}

#[test]
fn what_rows_are_told_apart_by_stays_and_odd_names_are_refused() {
    let mut heir = table("public.heir", &["id", "x"]);
    Arc::make_mut(&mut heir.origin).inherits = [name("public.a")].into();
    let tables = [
        table("public.a", &["id", "x"]),
        table("public.b", &["id", "x"]),
        heir,
    ];
    let why = refusal(&leaving_out("public.b", &["id"]), &tables);
    assert!(why.contains("told apart"), "{why}");
    for of in ["public.a", "public.heir"] {
        let why = refusal(&leaving_out(of, &["x"]), &tables);
        assert!(why.contains("inherits"), "{why}");
    }
    for place in ["pg_temp.b", "trunkline.b", "information_schema.b"] {
        let why = refusal(&moving("public.b", place), &tables);
        assert!(why.contains("reserved"), "{why}");
    }
    let long = format!("public.{}", "n".repeat(64));
    let why = refusal(&moving("public.b", &long), &tables);
    assert!(why.contains("63 bytes"), "{why}");
}
