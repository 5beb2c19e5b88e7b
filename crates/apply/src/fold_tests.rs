//! The folded plan against a model that replays the source's history.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use trunkline_changes::{OldRow, ReplicaIdentity, Row, Value};

use super::{FoldedRow, NotFoldable, Now, Stage, TableStage, fold};
use crate::batch::{Entry, RowChange};
use crate::fixtures::{self, column, entry, insert, key, table, update};
use crate::route::Route;

/// id → (big, v): `big` is out of line and not sent when it did not change.
type Model = BTreeMap<String, (String, String)>;

/// What the history's author tries next.
#[derive(Clone, Debug)]
enum Try {
    Put { id: u8, big: u8, v: u8 },
    Set { id: u8, big: Option<u8>, v: u8 },
    Move { id: u8, to: u8, big: Option<u8> },
    Drop { id: u8 },
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let id = || 0..6_u8;
    let one = prop_oneof![
        (id(), any::<u8>(), any::<u8>()).prop_map(|(id, big, v)| Try::Put { id, big, v }),
        (id(), any::<Option<u8>>(), any::<u8>()).prop_map(|(id, big, v)| Try::Set { id, big, v }),
        (id(), id(), any::<Option<u8>>()).prop_map(|(id, to, big)| Try::Move { id, to, big }),
        id().prop_map(|id| Try::Drop { id }),
    ];
    prop::collection::vec(one, 0..40)
}

fn simple_route(identity: ReplicaIdentity) -> Arc<Route> {
    let columns = vec![
        column("id", "int4"),
        column("big", "text"),
        column("v", "text"),
    ];
    fixtures::route(table(1, columns), identity, 1)
}

/// Makes what is possible of the tries; gives the changes as the stream would tell them.
fn history(model: &mut Model, tries: &[Try], identity: ReplicaIdentity) -> Vec<RowChange> {
    tries
        .iter()
        .filter_map(|next| step(model, next, identity))
        .collect()
}

fn old_row(identity: ReplicaIdentity, id: &str, values: &(String, String)) -> OldRow {
    match identity {
        ReplicaIdentity::Full => fixtures::full(&[id, &values.0, &values.1]),
        _ => key(&[id, "-", "-"]),
    }
}

fn step(model: &mut Model, next: &Try, identity: ReplicaIdentity) -> Option<RowChange> {
    let full = identity == ReplicaIdentity::Full;
    match next {
        Try::Put { id, big, v } => {
            let (id, big, v) = (id.to_string(), big.to_string(), v.to_string());
            if model.contains_key(&id) {
                return None;
            }
            let change = insert(&[&id, &big, &v]);
            model.insert(id, (big, v));
            Some(change)
        }
        Try::Set { id, big, v } => {
            let id = id.to_string();
            let held = model.get_mut(&id)?;
            let old = full.then(|| old_row(identity, &id, held));
            held.1 = v.to_string();
            let sent = big.map(|big| big.to_string());
            if let Some(big) = &sent {
                held.0.clone_from(big);
            }
            Some(update(old, &[&id, sent.as_deref().unwrap_or("?"), &held.1]))
        }
        Try::Move { id, to, big } => {
            let (id, to) = (id.to_string(), to.to_string());
            if model.contains_key(&to) || !model.contains_key(&id) {
                return None;
            }
            let mut held = model.remove(&id)?;
            let old = old_row(identity, &id, &held);
            let sent = big.map(|big| big.to_string());
            if let Some(big) = &sent {
                held.0.clone_from(big);
            }
            let change = update(Some(old), &[&to, sent.as_deref().unwrap_or("?"), &held.1]);
            model.insert(to, held);
            Some(change)
        }
        Try::Drop { id } => {
            let id = id.to_string();
            let held = model.remove(&id)?;
            Some(RowChange::Delete(old_row(identity, &id, &held)))
        }
    }
}

fn text(row: &Row, index: usize) -> String {
    match row.value(index) {
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("column {index} is {other:?}"),
    }
}

fn set(held: &mut (String, String), values: &Row) {
    for (index, slot) in [(1, &mut held.0), (2, &mut held.1)] {
        match values.value(index) {
            Value::Unchanged => {}
            _ => *slot = text(values, index),
        }
    }
}

/// Deletes, updates, inserts; each must find what it expects.
fn replay_rows(model: &mut Model, rows: &[FoldedRow<'_>]) {
    for row in rows {
        if let Some((_, old)) = row.removed {
            assert!(
                model.remove(&text(old, 0)).is_some(),
                "a deleted row is there"
            );
        }
    }
    for row in rows {
        if let Now::Updated { key, values, .. } = &row.now {
            set(
                model
                    .get_mut(&text(key, 0))
                    .expect("an updated row is there"),
                values,
            );
        }
    }
    for row in rows {
        if let Now::Inserted(_, values) = &row.now {
            let held = (text(values, 1), text(values, 2));
            assert!(
                model.insert(text(values, 0), held).is_none(),
                "an inserted row is new"
            );
        }
    }
}

fn replay_single(model: &mut Model, change: &RowChange) {
    let RowChange::Update {
        old: Some(old),
        new,
    } = change
    else {
        panic!("only a change of the key is done by itself: {change:?}");
    };
    let mut held = model
        .remove(&text(old.row(), 0))
        .expect("a moved row is there");
    set(&mut held, new);
    assert!(
        model.insert(text(new, 0), held).is_none(),
        "it moves to a free key"
    );
}

fn replay(model: &mut Model, stages: &[Stage<'_>]) -> usize {
    let mut statements = 0;
    for stage in stages {
        let Stage::Tables(tables) = stage else {
            panic!("no TRUNCATE was given");
        };
        for stage in tables.iter().flatten() {
            match stage {
                TableStage::Rows(rows) => {
                    statements += rows.len();
                    replay_rows(model, rows);
                }
                TableStage::Single(_, change) => {
                    statements += 1;
                    replay_single(model, change);
                }
            }
        }
    }
    statements
}

fn folded_is_sequential(seed: &[Try], tries: &[Try], identity: ReplicaIdentity) {
    let route = simple_route(identity);
    let mut source = Model::new();
    history(&mut source, seed, identity);
    let mut target = source.clone();
    let changes = history(&mut source, tries, identity);
    let entries: Vec<Entry> = changes
        .into_iter()
        .map(|change| entry(&route, change))
        .collect();
    let stages = fold(&entries).expect("a true history folds");
    let statements = replay(&mut target, &stages);
    assert_eq!(source, target);
    assert!(
        statements <= 2 * entries.len(),
        "{statements} for {}",
        entries.len()
    );
}

proptest! {
    #[test]
    fn a_folded_history_ends_where_the_history_ends(seed in tries(), tries in tries()) {
        folded_is_sequential(&seed, &tries, ReplicaIdentity::Default);
    }

    #[test]
    fn so_does_one_with_the_whole_old_row(seed in tries(), tries in tries()) {
        folded_is_sequential(&seed, &tries, ReplicaIdentity::Full);
    }

    #[test]
    fn a_history_that_cannot_be_is_never_folded_quietly(tries in tries()) {
        // Each change told twice: an insert of a row that is there, a delete of one that is not.
        let route = simple_route(ReplicaIdentity::Default);
        let mut source = Model::new();
        let mut changes = history(&mut source, &tries, ReplicaIdentity::Default);
        let doubled = changes.iter().rposition(|change| !matches!(change, RowChange::Update { .. }));
        let Some(doubled) = doubled else { return Ok(()) };
        changes.insert(doubled, changes[doubled].clone());
        let entries: Vec<Entry> = changes.into_iter().map(|change| entry(&route, change)).collect();
        // A stage of its own may separate the two; then the target tells.
        if let Ok(stages) = fold(&entries) {
            let singles = stages.iter().any(|stage| matches!(stage, Stage::Tables(tables)
                if tables.iter().flatten().any(|stage| matches!(stage, TableStage::Single(..)))));
            prop_assert!(singles);
        }
    }
}

fn folded(changes: Vec<RowChange>) -> Result<String, NotFoldable> {
    let route = simple_route(ReplicaIdentity::Default);
    let entries: Vec<Entry> = changes
        .into_iter()
        .map(|change| entry(&route, change))
        .collect();
    let mut told = Vec::new();
    for stage in fold(&entries)? {
        let Stage::Tables(tables) = stage else {
            continue;
        };
        for stage in tables.into_iter().flatten() {
            match stage {
                TableStage::Single(..) => told.push("by itself".to_owned()),
                TableStage::Rows(rows) => told.extend(rows.iter().map(|row| {
                    let removed = row
                        .removed
                        .map(|(_, old)| format!("delete {} ", text(old, 0)));
                    let now = match &row.now {
                        Now::Absent => String::new(),
                        Now::Inserted(_, row) => format!("insert {}", text(row, 0)),
                        Now::Updated { key, values, .. } => {
                            let big = values.value(1) == Value::Unchanged;
                            format!(
                                "update {}{}",
                                text(key, 0),
                                if big { " without big" } else { "" }
                            )
                        }
                    };
                    removed.unwrap_or_default() + &now
                })),
            }
        }
    }
    Ok(told.join("; "))
}

#[test]
fn changes_of_one_row_become_one() {
    let delete = || RowChange::Delete(key(&["1", "-", "-"]));
    let cases = [
        (
            vec![insert(&["1", "a", "b"]), update(None, &["1", "?", "c"])],
            "insert 1",
        ),
        (
            vec![
                update(None, &["1", "?", "b"]),
                update(None, &["1", "?", "c"]),
            ],
            "update 1 without big",
        ),
        (
            vec![
                update(None, &["1", "x", "b"]),
                update(None, &["1", "?", "c"]),
            ],
            "update 1",
        ),
        (vec![insert(&["1", "a", "b"]), delete()], ""),
        (
            vec![delete(), insert(&["1", "a", "b"])],
            "delete 1 insert 1",
        ),
        (vec![update(None, &["1", "x", "b"]), delete()], "delete 1 "),
        (
            vec![update(Some(key(&["1", "-", "-"])), &["2", "x", "b"])],
            "delete 1 ; insert 2",
        ),
        (
            vec![update(Some(key(&["1", "-", "-"])), &["2", "?", "b"])],
            "by itself",
        ),
        (
            vec![
                update(None, &["1", "x", "b"]),
                update(Some(key(&["1", "-", "-"])), &["2", "?", "b"]),
            ],
            "delete 1 ; insert 2",
        ),
    ];
    for (changes, expected) in cases {
        assert_eq!(
            folded(changes.clone()),
            Ok(expected.to_owned()),
            "{changes:?}"
        );
    }
}

#[test]
fn a_table_whose_triggers_fire_is_not_folded() {
    let mut target = table(1, vec![column("id", "int4")]);
    target.fires = true;
    let route = fixtures::route(target, ReplicaIdentity::Default, 1);
    let entries = [entry(&route, insert(&["1"]))];
    assert_eq!(fold(&entries).err(), Some(NotFoldable));
}

#[test]
fn without_a_key_inserts_gather_and_the_rest_keeps_its_place() {
    let route = fixtures::route(
        table(0, vec![column("a", "int4")]),
        ReplicaIdentity::Full,
        0,
    );
    let changes = [
        insert(&["1"]),
        insert(&["1"]),
        RowChange::Delete(fixtures::full(&["1"])),
        insert(&["2"]),
    ];
    let entries: Vec<Entry> = changes
        .into_iter()
        .map(|change| entry(&route, change))
        .collect();
    let stages = fold(&entries).expect("nothing contradicts");
    let Stage::Tables(tables) = &stages[0] else {
        panic!("no TRUNCATE was given")
    };
    let shapes: Vec<usize> = tables[0]
        .iter()
        .map(|stage| match stage {
            TableStage::Rows(rows) => rows.len(),
            TableStage::Single(..) => 0,
        })
        .collect();
    assert_eq!(shapes, [2, 0, 1]);
}
