//! The order of mending: all rows that go, then all that change, then all that come. Pure.
//! Rows that are read from the source in one go form a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_changes::TableName;

use super::item::{Differing, Item, Relation, Remedy};
use super::limits::BATCH_ROWS;

/// What is done with some items, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Rows that go, those that are put in again among them.
    pub(crate) deletes: Vec<usize>,
    /// Rows that change.
    pub(crate) updates: Vec<Group>,
    /// Rows that come.
    pub(crate) inserts: Vec<Group>,
    /// Rows that mending cannot change.
    pub(crate) left: u64,
}

/// Rows of one table whose same columns are read from one relation of the source.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) relation: Arc<Relation>,
    pub(crate) columns: Vec<usize>,
    pub(crate) items: Vec<usize>,
}

/// What tells groups apart: the table, the source's relation, the columns.
type GroupKey<'a> = (&'a TableName, &'a TableName, Vec<usize>);

impl Plan {
    pub(crate) fn of(items: &[&Item<'_>], differing: Differing) -> Plan {
        let mut plan = Plan::default();
        let (mut updates, mut inserts) = (BTreeMap::new(), BTreeMap::new());
        for (number, item) in items.iter().enumerate() {
            match item.remedy(differing) {
                Remedy::Delete => plan.deletes.push(number),
                Remedy::Insert => file(&mut inserts, items, number, item.sent().collect()),
                Remedy::Update(columns) => file(&mut updates, items, number, columns),
                Remedy::Replace => {
                    plan.deletes.push(number);
                    file(&mut inserts, items, number, item.sent().collect());
                }
                Remedy::Leave => plan.left += 1,
            }
        }
        plan.updates = groups(items, updates);
        plan.inserts = groups(items, inserts);
        plan
    }
}

fn file<'a>(
    groups: &mut BTreeMap<GroupKey<'a>, Vec<usize>>,
    items: &[&'a Item<'_>],
    number: usize,
    columns: Vec<usize>,
) {
    let item = items[number];
    let spot = item.source.as_ref().expect("the source has this row");
    let key = (&item.table.target, &spot.relation.name, columns);
    groups.entry(key).or_default().push(number);
}

fn groups(items: &[&Item<'_>], filed: BTreeMap<GroupKey<'_>, Vec<usize>>) -> Vec<Group> {
    let mut groups = Vec::new();
    for ((_, _, columns), numbers) in filed {
        for piece in numbers.chunks(BATCH_ROWS) {
            let spot = items[piece[0]].source.as_ref();
            groups.push(Group {
                relation: Arc::clone(&spot.expect("the source has this row").relation),
                columns: columns.clone(),
                items: piece.to_vec(),
            });
        }
    }
    groups
}
