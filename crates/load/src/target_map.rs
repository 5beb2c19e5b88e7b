//! Where a source table's rows go: to the table of its name, or, when the target is not
//! partitioned in the same way, to the nearest ancestor that stands there. Pure.

use std::collections::{HashMap, HashSet};

use trunkline_changes::TableName;

use crate::catalog::Table;
use crate::lineage::Lineage;

/// Source table → target table.
pub type TableMap = HashMap<TableName, TableName>;

/// Maps every source table that has a place on the target; a table without one is absent.
pub fn target_map<'a>(
    source: &[Table],
    target: impl IntoIterator<Item = &'a TableName>,
) -> TableMap {
    target_map_by(source, target, Some)
}

/// The same where tables have other names there; one for which `there` gives none has no
/// place of its own.
pub fn target_map_by<'a, 'n>(
    source: &'n [Table],
    target: impl IntoIterator<Item = &'a TableName>,
    there: impl Fn(&'n TableName) -> Option<&'n TableName>,
) -> TableMap {
    let standing: HashSet<&TableName> = target.into_iter().collect();
    let lineage = Lineage::of(source);
    source
        .iter()
        .filter_map(|table| {
            let mut places = lineage.from(&table.name).filter_map(&there);
            let place = places.find(|name| standing.contains(*name))?;
            Some((table.name.clone(), place.clone()))
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
        tables[1].partition_of = Some(name("root"));
        tables[2].partition_of = Some(name("middle"));
        let map = target_map(&tables, &[name("root"), name("alone")]);
        assert_eq!(map[&name("leaf")], name("root"));
        assert_eq!(map[&name("alone")], name("alone"));
        assert!(!map.contains_key(&name("gone")));
        let same = target_map(&tables, &[name("root"), name("leaf")]);
        assert_eq!(same[&name("leaf")], name("leaf"));
    }
}
