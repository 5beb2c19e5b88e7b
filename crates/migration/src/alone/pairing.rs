//! Which table of the one side is compared with which of the other. Pure. Partitions are
//! compared one by one where both sides have the same ones, and otherwise all together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;
use trunkline_changes::{Side, TableName};
use trunkline_load::{Table, TableKind};
use trunkline_verify::{Choice, Comparison, PART_BYTES, Reading};

use super::report::{ColumnLeftOut, MissingTable};

/// The tables of both sides, brought together.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// What can be compared, the largest first.
    pub(super) comparisons: Vec<Comparison>,
    /// Tables that one side lacks.
    pub(super) missing: Vec<MissingTable>,
    /// Columns that one side lacks.
    pub(super) columns: Vec<ColumnLeftOut>,
    /// The tables that are compared, partitions counted with their root.
    pub(super) roots: BTreeSet<TableName>,
}

/// A table with the partitions that hold its rows, if it is partitioned.
struct Family<'a> {
    root: &'a Table,
    leaves: BTreeMap<&'a TableName, &'a Table>,
}

impl<'a> Family<'a> {
    fn lone(table: &'a Table) -> Self {
        Family {
            root: table,
            leaves: BTreeMap::new(),
        }
    }

    fn is_partitioned(&self) -> bool {
        self.root.kind == TableKind::Partitioned
    }

    /// What is read, and how, where each table is read by itself.
    fn one_by_one(&self) -> (Vec<TableName>, Reading) {
        if self.leaves.is_empty() {
            return (vec![self.root.name.clone()], self.reading());
        }
        let names = self.leaves.keys().copied().cloned();
        (names.collect(), Reading::Only)
    }

    fn reading(&self) -> Reading {
        if self.is_partitioned() {
            Reading::WithPartitions
        } else {
            Reading::Only
        }
    }

    fn bytes(&self) -> u64 {
        let leaves: u64 = self.leaves.values().map(|leaf| leaf.bytes()).sum();
        self.root.bytes() + leaves
    }
}

/// One side's tables by name, and by their topmost partitioned table.
struct Tables<'a> {
    by_name: BTreeMap<&'a TableName, &'a Table>,
    families: BTreeMap<&'a TableName, Family<'a>>,
}

impl<'a> Tables<'a> {
    fn new(tables: &'a [Table]) -> Self {
        let compared = |table: &&Table| table.data && table.origin.extension_condition.is_none();
        let by_name: BTreeMap<&TableName, &Table> = tables
            .iter()
            .filter(compared)
            .map(|table| (&table.name, table))
            .collect();
        let mut families = BTreeMap::new();
        for table in by_name.values() {
            let above =
                |table: &&'a Table| by_name.get(table.origin.partition_of.as_deref()?).copied();
            let root = std::iter::successors(Some(*table), above).last();
            let root = root.unwrap_or(table);
            let family = families
                .entry(&root.name)
                .or_insert_with(|| Family::lone(root));
            if root.name != table.name && table.kind == TableKind::Ordinary {
                family.leaves.insert(&table.name, table);
            }
        }
        Tables { by_name, families }
    }

    /// The table of a name with what belongs to it, whatever it belongs to itself.
    fn named(&self, name: &TableName) -> Option<Family<'a>> {
        self.by_name.get(name).map(|table| Family::lone(table))
    }
}

/// Brings the tables of both sides together.
pub(super) fn pair(source: &[Table], target: &[Table]) -> Pairing {
    let (source, target) = (Tables::new(source), Tables::new(target));
    let mut pairing = Pairing::default();
    let names: BTreeSet<&TableName> = source
        .families
        .keys()
        .chain(target.families.keys())
        .copied()
        .collect();
    for name in names {
        match (source.families.get(name), target.families.get(name)) {
            (Some(from), Some(to)) => pairing.families(from, to),
            (Some(from), None) => match target.named(name) {
                Some(to) => pairing.whole(from, &to),
                None => pairing.lacks(name, Side::Target),
            },
            (None, Some(to)) => match source.named(name) {
                Some(from) => pairing.whole(&from, to),
                None => pairing.lacks(name, Side::Source),
            },
            (None, None) => {}
        }
    }
    let size = |comparison: &Comparison| std::cmp::Reverse(comparison.bytes);
    pairing.comparisons.sort_by_key(size);
    pairing
}

impl Pairing {
    fn lacks(&mut self, table: &TableName, on: Side) {
        self.missing.push(MissingTable {
            table: table.clone(),
            on,
        });
    }

    fn families(&mut self, from: &Family<'_>, to: &Family<'_>) {
        let same_leaves = from.leaves.keys().eq(to.leaves.keys());
        if from.leaves.is_empty() || !same_leaves {
            self.whole(from, to);
            return;
        }
        self.roots.insert(from.root.name.clone());
        self.columns_of(from.root, to.root);
        for (leaf, other) in from.leaves.values().zip(to.leaves.values()) {
            self.compare(&Family::lone(leaf), &Family::lone(other));
        }
    }

    fn whole(&mut self, from: &Family<'_>, to: &Family<'_>) {
        self.roots.insert(from.root.name.clone());
        self.columns_of(from.root, to.root);
        self.compare(from, to);
    }

    fn compare(&mut self, from: &Family<'_>, to: &Family<'_>) {
        let (sources, source_reading) = from.one_by_one();
        self.comparisons.push(Comparison {
            target: to.root.name.clone(),
            target_reading: to.reading(),
            sources,
            source_reading,
            columns: common_columns(from.root, to.root),
            names: trunkline_changes::ColumnMap::same(),
            moved: None,
            choice: Choice::default(),
            bytes: from.bytes(),
            part_bytes: PART_BYTES,
        });
    }

    fn columns_of(&mut self, from: &Table, to: &Table) {
        let (here, there) = (column_names(from), column_names(to));
        let mut left_out = |names: BTreeSet<&str>, lacks: Side| {
            for name in names {
                self.columns.push(ColumnLeftOut {
                    table: to.name.clone(),
                    column: name.to_owned(),
                    missing_on: lacks,
                });
            }
        };
        left_out(here.difference(&there).copied().collect(), Side::Target);
        left_out(there.difference(&here).copied().collect(), Side::Source);
    }
}

fn column_names(table: &Table) -> BTreeSet<&str> {
    let columns = table.shape.columns.iter();
    columns.map(|column| column.name.as_str()).collect()
}

/// In one order for both sides.
fn common_columns(from: &Table, to: &Table) -> Arc<[SmolStr]> {
    let (here, there) = (column_names(from), column_names(to));
    here.intersection(&there).map(|&name| name.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_load::Origin;

    fn name(text: &str) -> TableName {
        TableName::new("public", text)
    }

    fn table(text: &str, of: Option<&str>) -> Table {
        let origin = Origin {
            partition_of: of.map(|of| name(of).into()),
            ..Origin::default()
        };
        Table {
            oid: 0,
            name: name(text),
            kind: TableKind::Ordinary,
            unlogged: false,
            data: true,
            shape: Arc::default(),
            origin: Arc::new(origin),
            estimated_rows: 0,
            heap_bytes: 0,
            toast_bytes: 0,
        }
    }

    fn root(text: &str, of: Option<&str>) -> Table {
        let kind = TableKind::Partitioned;
        Table {
            kind,
            ..table(text, of)
        }
    }

    /// Each comparison as `sources → target`, `*` for what is read with its partitions.
    fn pairs(source: &[Table], target: &[Table]) -> Vec<String> {
        let star = |reading| {
            if reading == Reading::Only { "" } else { "*" }
        };
        let text = |c: Comparison| {
            let sources: Vec<&str> = c.sources.iter().map(|name| name.name.as_str()).collect();
            let (one, other) = (star(c.source_reading), star(c.target_reading));
            format!("{}{one} → {}{other}", sources.join("+"), c.target.name)
        };
        let mut pairing = pair(source, target);
        let mut all: Vec<String> = pairing.comparisons.drain(..).map(text).collect();
        all.sort();
        let missing = pairing.missing.iter();
        all.extend(missing.map(|m| format!("{} not on the {}", m.table.name, m.on)));
        all
    }

    #[test]
    fn partitions_of_the_same_names_are_compared_one_by_one() {
        let tables = [
            root("m", None),
            root("m_a", Some("m")),
            table("m_a_1", Some("m_a")),
            table("m_2", Some("m")),
            table("plain", None),
        ];
        assert_eq!(
            pairs(&tables, &tables),
            ["m_2 → m_2", "m_a_1 → m_a_1", "plain → plain"]
        );
    }

    #[test]
    fn other_partitions_are_compared_all_together() {
        let two = [
            root("m", None),
            table("m_1", Some("m")),
            table("m_2", Some("m")),
        ];
        let one = [root("m", None), table("m_1", Some("m"))];
        let (none, plain) = ([root("m", None)], [table("m", None)]);
        assert_eq!(pairs(&two, &one), ["m_1+m_2 → m*"]);
        assert_eq!(pairs(&two, &plain), ["m_1+m_2 → m"]);
        assert_eq!(pairs(&plain, &two), ["m → m*"]);
        assert_eq!(pairs(&none, &two), ["m* → m*"]);
        assert_eq!(pairs(&none, &none), ["m* → m*"]);
    }

    #[test]
    fn a_table_of_one_side_only_is_missing_unless_it_is_a_partition_there() {
        let source = [table("a", None), table("m_1", None)];
        let target = [root("m", None), table("m_1", Some("m")), table("b", None)];
        assert_eq!(
            pairs(&source, &target),
            [
                "m_1 → m_1",
                "a not on the target",
                "b not on the source",
                "m not on the source"
            ]
        );
    }
}
