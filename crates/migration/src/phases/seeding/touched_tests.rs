//! What changes around a position say of the rows of a copy.

use std::sync::Arc;

use trunkline_changes::{Change, Column, OldRow, Relation, ReplicaIdentity, Row, TableName, Value};

use super::{Kind, Part, Seen, Told, Touched, judge};

fn relation() -> Arc<Relation> {
    let column = |name: &str, key| Column {
        name: name.to_owned(),
        key,
        type_oid: 23,
        type_modifier: -1,
    };
    Arc::new(Relation {
        id: 1,
        name: TableName::new("public", "t"),
        identity: ReplicaIdentity::Default,
        columns: vec![column("id", true), column("n", false)],
    })
}

fn row(id: &str, n: &str) -> Row {
    [Value::Text(id.as_bytes()), Value::Text(n.as_bytes())]
        .into_iter()
        .collect()
}

fn insert(id: &str, n: &str) -> Change {
    Change::Insert {
        relation: relation(),
        new: row(id, n),
    }
}

fn update(id: &str, n: &str) -> Change {
    Change::Update {
        relation: relation(),
        old: None,
        new: row(id, n),
    }
}

fn delete(id: &str) -> Change {
    Change::Delete {
        relation: relation(),
        old: OldRow::Key(row(id, "")),
    }
}

fn told(part: Part, change: Change, seen: &Seen) -> Told {
    let mut touched = Touched::new(part);
    touched.take(change, 100);
    let touch = touched.rows().next().expect("a row");
    judge(part, touch, seen)
}

fn present(same: bool, xmin: u32) -> Seen {
    Seen::Present { same, xmin }
}

#[test]
fn before_the_position_the_copy_holds_what_the_change_left() {
    let before = |change, seen| told(Part::Before, change, &seen);
    assert_eq!(before(insert("1", "a"), present(true, 100)), Told::Proved);
    assert_eq!(before(insert("1", "a"), Seen::Absent), Told::Contradicted);
    assert_eq!(
        before(update("1", "a"), present(false, 90)),
        Told::Contradicted
    );
    assert_eq!(before(update("1", "a"), present(true, 90)), Told::Nothing);
    assert_eq!(before(update("1", "a"), present(true, 101)), Told::Proved);
    assert_eq!(before(delete("1"), Seen::Absent), Told::Proved);
    assert_eq!(before(delete("1"), present(false, 90)), Told::Contradicted);
}

#[test]
fn after_the_position_the_copy_holds_what_the_change_found() {
    let after = |change, seen| told(Part::After, change, &seen);
    assert_eq!(after(insert("1", "a"), Seen::Absent), Told::Proved);
    assert_eq!(
        after(insert("1", "a"), present(true, 100)),
        Told::Contradicted
    );
    assert_eq!(
        after(insert("1", "a"), present(false, 200)),
        Told::Contradicted
    );
    assert_eq!(after(update("1", "a"), present(false, 90)), Told::Proved);
    assert_eq!(
        after(update("1", "a"), present(true, 100)),
        Told::Contradicted
    );
    assert_eq!(
        after(update("1", "a"), present(true, 101)),
        Told::Contradicted
    );
    assert_eq!(after(update("1", "a"), present(true, 90)), Told::Nothing);
    assert_eq!(after(update("1", "a"), Seen::Absent), Told::Contradicted);
    assert_eq!(after(delete("1"), present(false, 90)), Told::Proved);
    assert_eq!(after(delete("1"), Seen::Absent), Told::Contradicted);
}

#[test]
fn a_transaction_that_ran_for_long_is_no_contradiction() {
    // The row was written by a transaction that began after it and committed before it.
    let seen = present(false, 150);
    assert_eq!(told(Part::After, update("1", "a"), &seen), Told::Nothing);
}

#[test]
fn of_a_keys_changes_the_last_before_and_the_first_after_count() {
    for (part, expected) in [(Part::Before, 2), (Part::After, 1)] {
        let mut touched = Touched::new(part);
        touched.take(insert("7", "a"), 1);
        touched.take(update("7", "b"), 2);
        let xids: Vec<u32> = touched.rows().map(|touch| touch.xid).collect();
        assert_eq!(xids, [expected], "{part:?}");
    }
}

#[test]
fn a_key_that_changes_is_one_row_gone_and_one_come() {
    let mut touched = Touched::new(Part::Before);
    let change = Change::Update {
        relation: relation(),
        old: Some(OldRow::Key(row("1", ""))),
        new: row("2", "a"),
    };
    touched.take(change, 1);
    let kinds: Vec<bool> = touched
        .rows()
        .map(|touch| matches!(touch.kind, Kind::Deleted))
        .collect();
    assert_eq!(kinds, [true, false]);
}

#[test]
fn what_was_emptied_tells_nothing_beyond() {
    let truncate = || Change::Truncate {
        relations: vec![relation()],
        cascade: false,
        restart_identity: false,
    };
    let mut before = Touched::new(Part::Before);
    before.take(insert("1", "a"), 1);
    before.take(truncate(), 2);
    assert_eq!(before.rows().count(), 0);
    let mut after = Touched::new(Part::After);
    after.take(truncate(), 1);
    after.take(insert("1", "a"), 2);
    assert_eq!(after.rows().count(), 0);
}
