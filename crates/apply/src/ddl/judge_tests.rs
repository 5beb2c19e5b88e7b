//! What each change of structure is judged to be.

use super::{Copied, ForeignKeys, Judged, columns, constraints, labels, widens};
use crate::ddl::message::{Column, Constraint, Labels};
use trunkline_changes::TableName;

fn table() -> TableName {
    TableName::new("s", "t")
}

fn column(name: &str, type_sql: &str) -> Column {
    Column {
        name: name.to_owned(),
        type_sql: type_sql.to_owned(),
        ..Column::default()
    }
}

fn compare(source: &[Column], target: &[Column]) -> Judged {
    columns(&table(), source, target, Copied::Before)
}

#[test]
fn an_added_column_gives_rows_that_were_there_what_the_source_gave_them() {
    let id = column("id", "integer");
    let made = Column {
        not_null: true,
        expression: Some("now()".to_owned()),
        given: Some("2020-01-01 00:00:00+00".to_owned()),
        ..column("made", "timestamp with time zone")
    };
    let judged = compare(&[id.clone(), made], std::slice::from_ref(&id));
    assert_eq!(
        judged.run,
        [
            "ALTER TABLE \"s\".\"t\" ADD COLUMN \"made\" timestamp with time zone DEFAULT \
             '2020-01-01 00:00:00+00'::timestamp with time zone NOT NULL",
            "ALTER TABLE \"s\".\"t\" ALTER COLUMN \"made\" SET DEFAULT now()",
        ]
    );
    assert!(judged.stop.is_empty() && judged.open.is_empty());
}

#[test]
fn a_default_that_differs_from_row_to_row_stops() {
    let random = Column {
        expression: Some("random()".to_owned()),
        ..column("r", "double precision")
    };
    let judged = compare(&[random], &[]);
    assert!(
        judged.run.is_empty() && judged.stop.len() == 1,
        "{judged:?}"
    );
    let identity = Column {
        identity: "a".to_owned(),
        ..column("i", "bigint")
    };
    assert_eq!(compare(&[identity], &[]).stop.len(), 1);
}

#[test]
fn a_renamed_column_is_never_taken_for_an_added_one() {
    let judged = compare(&[column("b", "text")], &[column("a", "text")]);
    assert!(judged.run.is_empty(), "{judged:?}");
    assert!(judged.stop[0].contains("renamed"), "{judged:?}");
}

#[test]
fn a_column_of_the_targets_own_is_left_alone() {
    let id = column("id", "integer");
    let judged = compare(
        std::slice::from_ref(&id),
        &[id.clone(), column("own", "text")],
    );
    assert!(judged.is_nothing() && judged.fits);
}

#[test]
fn a_copy_that_was_read_after_the_change_and_lacks_its_column_is_not_mended_silently() {
    let id = column("id", "integer");
    let source = [id.clone(), column("late", "text")];
    let judged = columns(&table(), &source, &[id], Copied::After);
    assert!(judged.run.is_empty());
    assert!(judged.stop[0].contains("abort"), "{judged:?}");
}

#[test]
fn only_types_that_hold_every_value_are_changed() {
    for (from, to) in [
        ("character varying(10)", "character varying(11)"),
        ("character varying(10)", "character varying"),
        ("character varying", "text"),
    ] {
        assert!(widens(from, to), "{from} {to}");
    }
    for (from, to) in [
        ("character varying(10)", "character varying(9)"),
        ("text", "character varying(9)"),
        ("integer", "bigint"),
        ("character varying(10)[]", "character varying(11)[]"),
    ] {
        assert!(!widens(from, to), "{from} {to}");
        let judged = compare(&[column("c", to)], &[column("c", from)]);
        assert_eq!((judged.run.len(), judged.stop.len()), (0, 1), "{judged:?}");
    }
}

#[test]
fn a_stricter_column_is_for_the_operator_and_a_laxer_one_is_made() {
    let strict = Column {
        not_null: true,
        ..column("c", "text")
    };
    let lax = column("c", "text");
    let judged = compare(std::slice::from_ref(&strict), std::slice::from_ref(&lax));
    assert_eq!((judged.run.len(), judged.open.len()), (0, 1), "{judged:?}");
    let judged = compare(&[lax], &[strict]);
    assert!(judged.run[0].ends_with("DROP NOT NULL"), "{judged:?}");
}

#[test]
fn a_constraint_that_came_along_with_a_column_is_not_forgotten() {
    let had = [column("id", "integer")];
    let constraint = |name: &str, foreign, column: &str| Constraint {
        name: name.to_owned(),
        says: "CHECK (true)".to_owned(),
        foreign,
        columns: Some(vec![column.to_owned()]),
    };
    let source = [
        constraint("old", false, "id"),
        constraint("short", false, "c"),
        constraint("to_new", true, "c"),
        constraint("to_old", true, "id"),
    ];
    let names = |keys| {
        let judged = constraints(&table(), &source, &["old".to_owned()], &had, keys);
        assert!(judged.stop.is_empty() && judged.run.is_empty());
        judged.open.len()
    };
    assert_eq!(names(ForeignKeys::There), 3);
    // The others' turn comes when the copy is caught up with.
    assert_eq!(names(ForeignKeys::NotYet), 2);
}

#[test]
fn values_of_an_enum_are_added_where_the_source_has_them() {
    let source = Labels {
        schema: "s".to_owned(),
        name: "e".to_owned(),
        values: Some(["x", "a", "it's", "b"].map(str::to_owned).to_vec()),
    };
    let judged = labels(&source, &["a".to_owned(), "b".to_owned()]);
    assert_eq!(
        judged.run,
        [
            "ALTER TYPE \"s\".\"e\" ADD VALUE 'x' BEFORE 'a'",
            "ALTER TYPE \"s\".\"e\" ADD VALUE 'it''s' AFTER 'a'",
        ]
    );
    let renamed = labels(&source, &["a".to_owned(), "other".to_owned()]);
    assert!(
        renamed.run.is_empty() && renamed.stop.len() == 1,
        "{renamed:?}"
    );
}
