//! When each entry is made: pure. Before the rows; with its table, as soon as that table's
//! rows are in; or at the end. Statistics objects stand before the rows, because what gathers
//! a table's statistics fills those that are there.

use std::collections::HashMap;

use trunkline_changes::TableName;

use super::dump::Structure;
use super::entry::{Entry, Section};
use crate::build_memory::Need;
use crate::catalog::{IndexFacts, Table, TableKind};
use crate::limits::TOGETHER_BYTES;

/// When an entry is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Before the rows.
    PreData,
    /// Once the tables have the columns that they are to have, before the rows.
    Statistics,
    /// With its table.
    Build,
    /// Once every partition's index stands.
    Attach,
    /// Once every key stands.
    ForeignKey,
    /// At the end.
    Rest,
    /// On materialized views, once they are filled.
    ViewIndex,
}

/// What else may be built on a table meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// Other indexes.
    Indexes,
    /// Nothing: it is made by ALTER TABLE.
    Nothing,
    /// Nothing; but its index may be built first, beside others.
    NothingOrIndexes,
}

impl Company {
    fn of(entry: &Entry) -> Self {
        match (entry.kind().as_str(), entry.splits) {
            ("CONSTRAINT", true) => Company::NothingOrIndexes,
            ("CONSTRAINT", false) => Company::Nothing,
            _ => Company::Indexes,
        }
    }
}

/// An index or constraint of a table that holds rows.
#[derive(Clone, Debug)]
pub(crate) struct BuildStep {
    /// Place in [`Structure::entries`].
    pub(crate) entry: usize,
    /// The table's place among those in scope.
    pub(crate) table: u32,
    /// Whether all that is built on the table takes no time, as far as the source tells.
    pub(crate) small: bool,
    /// Whether it makes the primary key.
    pub(crate) primary: bool,
    /// What else may be built on the table meanwhile.
    pub(crate) company: Company,
    /// How long it takes beside others: bytes of the source's index, if it were a b-tree.
    pub(crate) bytes: u64,
    /// What its memory is chosen by.
    pub(crate) memory: Need,
}

/// All that is built on tables.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    /// Of tables that hold rows, those of one table side by side.
    pub(crate) steps: Vec<BuildStep>,
    /// Of partitioned tables: places in [`Structure::entries`], in `pg_dump`'s order.
    pub(crate) partitioned: Vec<usize>,
}

impl Builds {
    /// The steps, table by table.
    pub(crate) fn by_table(&self) -> impl Iterator<Item = &[BuildStep]> {
        self.steps.chunk_by(|one, other| one.table == other.table)
    }

    /// Every place in [`Structure::entries`].
    pub(crate) fn entries(&self) -> impl Iterator<Item = usize> {
        let steps = self.steps.iter().map(|step| step.entry);
        steps.chain(self.partitioned.iter().copied())
    }
}

impl Stage {
    /// Whether an entry's section and kind allow it: where there is none of the kind, nothing else
    /// need be known of all the others.
    fn may_hold(self, entry: &Entry) -> bool {
        let kinds: &[&str] = match self {
            Stage::PreData => return entry.section() == Section::PreData,
            Stage::Statistics => &["STATISTICS"],
            Stage::Build | Stage::ViewIndex => &["INDEX", "CONSTRAINT"],
            Stage::Attach => &["INDEX ATTACH"],
            Stage::ForeignKey => &["FK CONSTRAINT"],
            Stage::Rest => return entry.section() == Section::PostData,
        };
        entry.section() == Section::PostData && kinds.contains(&entry.kind().as_str())
    }
}

/// When an entry is made; `owner` is what [`relation_of`] says.
fn stage(entry: &Entry, owner: Option<&Entry>, by_id: &HashMap<u32, &Entry>) -> Stage {
    if entry.section() == Section::PreData {
        return Stage::PreData;
    }
    // A materialized view that groups by a primary key comes after it.
    let waits = || {
        let mut needed = entry.needs.iter().filter_map(|id| by_id.get(id));
        needed.any(|needed| needed.section() != Section::PreData)
    };
    let owned_by = |kind: &str| owner.is_some_and(|owner| owner.kind() == kind);
    match entry.kind().as_str() {
        "INDEX" if owned_by("MATERIALIZED VIEW") => Stage::ViewIndex,
        "INDEX" | "CONSTRAINT" if owned_by("TABLE") => Stage::Build,
        "STATISTICS" if !waits() => Stage::Statistics,
        "INDEX ATTACH" => Stage::Attach,
        "FK CONSTRAINT" => Stage::ForeignKey,
        _ => Stage::Rest,
    }
}

impl Structure {
    /// The entries of a stage, in `pg_dump`'s order.
    pub(crate) fn staged(&self, wanted: Stage) -> Vec<&Entry> {
        let places = self.staged_places(wanted).into_iter();
        places.map(|place| &self.entries[place]).collect()
    }

    /// The same as places in [`Structure::entries`].
    pub(crate) fn staged_places(&self, wanted: Stage) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.entries.len()).collect();
        places.retain(|&place| wanted.may_hold(&self.entries[place]));
        if places.is_empty() {
            return places;
        }
        let by_id = self.by_id();
        places.retain(|&place| {
            let entry = &self.entries[place];
            stage(entry, relation_of(entry, &by_id), &by_id) == wanted
        });
        places
    }

    pub(crate) fn by_id(&self) -> HashMap<u32, &Entry> {
        self.entries.iter().map(|entry| (entry.id, entry)).collect()
    }
}

/// The table or materialized view that an entry belongs to: the one it needs whose name
/// begins the entry's (the longest such name), else the first that it needs.
pub(crate) fn relation_of<'a>(entry: &Entry, by_id: &HashMap<u32, &'a Entry>) -> Option<&'a Entry> {
    let relations = entry
        .needs
        .iter()
        .filter_map(|id| by_id.get(id).copied())
        .filter(|needed| ["TABLE", "MATERIALIZED VIEW"].contains(&needed.kind().as_str()));
    let first = relations.clone().next();
    let named = relations.filter(|needed| {
        needed.schema() == entry.schema()
            && entry
                .name
                .strip_prefix(needed.name.as_str())
                .is_some_and(|rest| rest.starts_with(' '))
    });
    named.max_by_key(|needed| needed.name.len()).or(first)
}

/// What is built on each table.
pub(crate) fn table_builds(
    structure: &Structure,
    tables: &[Table],
    indexes: &[IndexFacts],
) -> Builds {
    let facts_of: HashMap<u32, &IndexFacts> = indexes
        .iter()
        .flat_map(|index| {
            let own = Some((index.oid, index));
            own.into_iter()
                .chain(index.constraint_oid.map(|oid| (oid, index)))
        })
        .collect();
    let by_oid: HashMap<u32, u32> = tables.iter().map(|table| table.oid).zip(0..).collect();
    let by_name: HashMap<&TableName, u32> =
        tables.iter().map(|table| &table.name).zip(0..).collect();
    let by_id = structure.by_id();
    let mut builds = Builds::default();
    for (place, entry) in structure.entries.iter().enumerate() {
        let owner = relation_of(entry, &by_id);
        if stage(entry, owner, &by_id) != Stage::Build {
            continue;
        }
        let facts = facts_of
            .get(&entry.oid)
            .filter(|_| [1259, 2606].contains(&entry.class()));
        let number = facts.and_then(|facts| by_oid.get(&facts.table_oid).copied());
        let by_owner = || by_name.get(&owner?.table_name()).copied();
        let Some(number) = number.or_else(by_owner) else {
            continue;
        };
        let table = &tables[number as usize];
        if table.kind == TableKind::Partitioned {
            builds.partitioned.push(place);
            continue;
        }
        builds.steps.push(BuildStep {
            entry: place,
            table: number,
            small: facts.is_some() && table.bytes() <= TOGETHER_BYTES,
            primary: facts.is_some_and(|facts| facts.primary),
            company: Company::of(entry),
            bytes: facts.map_or(0, |facts| duration(facts, table)),
            memory: facts.map_or_else(Need::default, |facts| {
                Need::of_index(&facts.method, facts.bytes)
            }),
        });
    }
    builds.steps.shrink_to_fit();
    builds.steps.sort_by_key(|step| step.table);
    let of_one_table = |one: &BuildStep, other: &BuildStep| one.table == other.table;
    for of_one in builds.steps.chunk_by_mut(of_one_table) {
        let small = of_one.iter().all(|step| step.small);
        for step in of_one {
            step.small = small;
        }
    }
    builds
}

/// How long a build takes. A small index of a large table takes as long as to read the table,
/// some thirty times as fast as an index is made.
fn duration(facts: &IndexFacts, table: &Table) -> u64 {
    let made = facts.bytes.saturating_mul(weight(&facts.method));
    made.max(table.heap_bytes / 32)
}

/// How much longer a byte of an index takes than one of a b-tree: measured for GIN on jsonb,
/// 50 s for what three b-trees of the same size take 7 s.
fn weight(method: &str) -> u64 {
    if ["gin", "gist", "spgist"].contains(&method) {
        8
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn entry(id: u32, kind: &str, name: &str, needs: &[u32]) -> Entry {
        let mut entry = Entry::bare(id, kind, "public", name, needs);
        if kind != "TABLE" {
            Arc::make_mut(&mut entry.group).section = Section::PostData;
        }
        entry
    }

    #[test]
    fn each_entry_has_its_stage_and_its_table() {
        let structure = Structure {
            entries: vec![
                entry(1, "TABLE", "a", &[]),
                entry(2, "TABLE", "a b", &[]),
                entry(3, "MATERIALIZED VIEW", "v", &[1]),
                entry(4, "CONSTRAINT", "a a_pkey", &[1]),
                entry(5, "CONSTRAINT", "a b key", &[1, 2]),
                entry(6, "INDEX", "v_i", &[3]),
                entry(7, "INDEX", "a_i", &[1]),
                entry(8, "INDEX ATTACH", "a_i", &[7]),
                entry(9, "FK CONSTRAINT", "a fk", &[1, 2]),
                entry(10, "TRIGGER", "a t", &[1]),
                entry(11, "STATISTICS", "a_s", &[1]),
            ],
            ..Structure::default()
        };
        let ids = |stage| {
            structure
                .staged(stage)
                .iter()
                .map(|e| e.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(Stage::PreData), [1, 2]);
        assert_eq!(ids(Stage::Statistics), [11]);
        assert_eq!(ids(Stage::Build), [4, 5, 7]);
        assert_eq!(ids(Stage::Attach), [8]);
        assert_eq!(ids(Stage::ForeignKey), [9]);
        assert_eq!(ids(Stage::Rest), [3, 10]);
        assert_eq!(ids(Stage::ViewIndex), [6]);

        let mut tables = ["a", "a b"].map(|name| Table::bare(TableName::new("public", name)));
        tables[0].oid = 50;
        let facts = IndexFacts {
            oid: 70,
            table_oid: 50,
            constraint_oid: Some(1004),
            name: TableName::new("public", "a_pkey"),
            primary: true,
            bytes: 9,
            method: "btree".into(),
        };
        let builds = table_builds(&structure, &tables, &[facts]);
        let shape: Vec<(&str, Vec<(usize, bool)>)> = builds
            .by_table()
            .map(|of_one| {
                let name = tables[of_one[0].table as usize].name.name.as_str();
                (name, of_one.iter().map(|s| (s.entry, s.primary)).collect())
            })
            .collect();
        assert_eq!(
            shape,
            [
                ("a", vec![(3, true), (6, false)]),
                ("a b", vec![(4, false)])
            ]
        );
    }
}
