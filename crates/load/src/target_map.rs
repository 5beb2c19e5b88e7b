//! Where a source table's rows go: to the table of its name, or, when the target is not
//! partitioned in the same way, to the nearest ancestor that stands there. Pure.

use std::collections::{HashMap, HashSet};

use trunkline_changes::TableName;

use crate::catalog::Table;
use crate::lineage::Lineage;

/// Source table → target table.
pub type TableMap = HashMap<TableName, TableName>;

/// Maps every source table that has a place on the target; a table without one is absent. Where
/// tables have other names there, `there` gives them; one for which it gives none has no place
/// of its own.
pub fn target_map_by<'a, 'n>(
    source: &'n [Table],
    target: impl IntoIterator<Item = &'a TableName>,
    there: impl Fn(&'n TableName) -> Option<&'n TableName>,
) -> TableMap {
    let places = places(source, target, there).into_iter();
    places
        .map(|(table, place)| (table.clone(), place.clone()))
        .collect()
}

/// The same by reference: of very many tables the names are much.
pub(crate) fn places<'a, 'n>(
    source: &'n [Table],
    target: impl IntoIterator<Item = &'a TableName>,
    there: impl Fn(&'n TableName) -> Option<&'n TableName>,
) -> HashMap<&'n TableName, &'n TableName> {
    let standing: HashSet<&TableName> = target.into_iter().collect();
    let lineage = Lineage::of(source);
    source
        .iter()
        .filter_map(|table| {
            let mut places = lineage.from(&table.name).filter_map(&there);
            Some((&table.name, places.find(|name| standing.contains(*name))?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_goes_to_its_own_place_or_the_nearest_ancestor() {
        let name = |text: &str| TableName::new("public", text);
        let mut tables = ["root", "middle", "leaf", "alone", "gone"].map(|n| Table::bare(name(n)));
        for (place, parent) in [(1, "root"), (2, "middle")] {
            let origin = std::sync::Arc::make_mut(&mut tables[place].origin);
            origin.partition_of = Some(name(parent).into());
        }
        let map = target_map_by(&tables, &[name("root"), name("alone")], Some);
        assert_eq!(map[&name("leaf")], name("root"));
        assert_eq!(map[&name("alone")], name("alone"));
        assert!(!map.contains_key(&name("gone")));
        let same = target_map_by(&tables, &[name("root"), name("leaf")], Some);
        assert_eq!(same[&name("leaf")], name("leaf"));
    }
}
