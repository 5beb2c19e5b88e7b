//! Which entries need nothing of each other, so that several sessions may make them at once:
//! pure. What is said here only saves time: what cannot be made so is made in `pg_dump`'s order
//! by one session, and an entry that stands already is known by its record, which commits with
//! it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::entry::Entry;
use crate::limits::{APART_LEAST, ENTRIES_AT_ONCE};

/// Entries that follow each other in the order, by their places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// Made one after the other.
    InOrder(Vec<usize>),
    /// Each made in its own order, and none needs another.
    Apart(Vec<Vec<usize>>),
}

/// What an entry may stand beside. One of another kind ends a stretch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    Relations,
    /// Partitions are attached once all stand.
    Attachments,
    /// Rights that are taken away may be needed before.
    Grants,
    Nobody,
}

/// None: whatever comes before it.
fn company(entry: &Entry) -> Option<Company> {
    match entry.kind().as_str() {
        "COMMENT" => None,
        "TABLE ATTACH" => Some(Company::Attachments),
        "ACL" => Some(Company::Grants),
        "TABLE" | "VIEW" | "SEQUENCE" | "SEQUENCE OWNED BY" | "DEFAULT" => Some(Company::Relations),
        _ => Some(Company::Nobody),
    }
}

/// Cuts the wanted entries, places in `entries`, into stretches.
pub(crate) fn stretches(entries: &[Entry], wanted: &[usize]) -> Vec<Stretch> {
    let mut runs: Vec<(Company, Vec<usize>)> = Vec::new();
    for &place in wanted {
        match (company(&entries[place]), runs.last_mut()) {
            (None, Some((_, run))) => run.push(place),
            (Some(company), Some((before, run))) if company == *before => run.push(place),
            (company, _) => runs.push((company.unwrap_or(Company::Nobody), vec![place])),
        }
    }
    let mut tables = None;
    let mut stretches = Vec::new();
    for (company, run) in runs {
        if company == Company::Nobody || run.len() < APART_LEAST {
            in_order(&mut stretches, run);
            continue;
        }
        let tables = tables.get_or_insert_with(|| Tables::of(entries));
        for tier in tables.tiers(entries, run) {
            if tier.len() < APART_LEAST {
                in_order(&mut stretches, tier);
            } else {
                stretches.push(Stretch::Apart(Run::new(entries, &tier, tables).strands()));
            }
        }
    }
    stretches
}

fn in_order(stretches: &mut Vec<Stretch>, run: Vec<usize>) {
    if let Some(Stretch::InOrder(before)) = stretches.last_mut() {
        before.extend(run);
    } else {
        stretches.push(Stretch::InOrder(run));
    }
}

/// The tables among all entries.
struct Tables {
    ids: HashSet<u32>,
    /// Partitions with their parents, either way round: `pg_dump` makes them apart before it
    /// attaches them.
    attached: HashSet<(u32, u32)>,
}

impl Tables {
    fn of(entries: &[Entry]) -> Self {
        let is = |kind| move |entry: &&Entry| entry.kind() == kind;
        let pairs = entries.iter().filter(is("TABLE ATTACH")).flat_map(|entry| {
            let needs = &entry.needs;
            let pair = |&id: &u32| needs.iter().map(move |&other| (id, other));
            needs.iter().flat_map(pair)
        });
        Tables {
            ids: entries.iter().filter(is("TABLE")).map(|e| e.id).collect(),
            attached: pairs.collect(),
        }
    }

    fn is_partition_of(&self, entry: &Entry, id: u32) -> bool {
        entry.kind() == "TABLE" && self.attached.contains(&(entry.id, id))
    }

    /// A run in parts that are made one after the other. Partitions come after their parents,
    /// whose constraints' names they may bear: whichever is first has it (18). Views come last:
    /// one over many tables would tie these together.
    fn tiers(&self, entries: &[Entry], run: Vec<usize>) -> Vec<Vec<usize>> {
        let mut tiers: BTreeMap<(bool, u32), Vec<usize>> = BTreeMap::new();
        let mut tier_of: HashMap<u32, (bool, u32)> = HashMap::new();
        for place in run {
            let entry = &entries[place];
            let needed = entry.needs.iter().filter_map(|&id| {
                let &(after_view, depth) = tier_of.get(&id)?;
                Some((
                    after_view,
                    depth + u32::from(self.is_partition_of(entry, id)),
                ))
            });
            let (after_view, depth) = needed.max().unwrap_or_default();
            let tier = (after_view || entry.kind() == "VIEW", depth);
            tier_of.insert(entry.id, tier);
            tiers.entry(tier).or_default().push(place);
        }
        tiers.into_values().collect()
    }
}

/// Entries of one company, and what keeps them together.
struct Run<'e> {
    entries: &'e [Entry],
    places: &'e [usize],
    ids: HashSet<u32>,
    tables: &'e Tables,
}

impl<'e> Run<'e> {
    fn new(entries: &'e [Entry], places: &'e [usize], tables: &'e Tables) -> Self {
        Run {
            entries,
            places,
            ids: places.iter().map(|&place| entries[place].id).collect(),
            tables,
        }
    }

    /// What no entry of another strand may need: the entry itself, what it needs of the run, a
    /// parent that it locks, an object whose grants it changes.
    fn bonds(&self, entry: &Entry) -> impl Iterator<Item = u32> {
        let held = entry.needs.iter().copied().filter(|&id| {
            let is_held = match entry.kind().as_str() {
                "TABLE" if self.tables.is_partition_of(entry, id) => return false,
                "TABLE" | "TABLE ATTACH" => self.tables.ids.contains(&id),
                kind => kind == "ACL",
            };
            is_held || self.ids.contains(&id)
        });
        std::iter::once(entry.id).chain(held)
    }

    fn strands(&self) -> Vec<Vec<usize>> {
        let mut sets = Sets::of(self.places.len());
        let mut first: HashMap<u32, usize> = HashMap::new();
        for (number, &place) in self.places.iter().enumerate() {
            for id in self.bonds(&self.entries[place]) {
                sets.join(*first.entry(id).or_insert(number), number);
            }
        }
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        let mut strands: Vec<Vec<usize>> = Vec::new();
        for (number, &place) in self.places.iter().enumerate() {
            let strand = *numbers.entry(sets.root(number)).or_insert_with(|| {
                strands.push(Vec::new());
                strands.len() - 1
            });
            strands[strand].push(place);
        }
        joined(strands)
    }
}

/// Joins neighbours until each is worth a transaction.
fn joined(strands: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let mut joined: Vec<Vec<usize>> = Vec::new();
    for strand in strands {
        match joined.last_mut() {
            Some(last) if last.len() + strand.len() <= ENTRIES_AT_ONCE => last.extend(strand),
            _ => joined.push(strand),
        }
    }
    joined
}

/// Disjoint sets of numbers, joined step by step (Galler and Fischer, CACM 7(5), 1964).
struct Sets {
    above: Vec<usize>,
}

impl Sets {
    fn of(count: usize) -> Self {
        Sets {
            above: (0..count).collect(),
        }
    }

    fn root(&mut self, mut number: usize) -> usize {
        while self.above[number] != number {
            // The way is halved for the next who asks.
            self.above[number] = self.above[self.above[number]];
            number = self.above[number];
        }
        number
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.above[one.max(other)] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u32, kind: &str, needs: &[u32]) -> Entry {
        Entry::bare(id, kind, "public", &id.to_string(), needs)
    }

    /// As many tables as make a stretch, each with a sequence and a default at the end, the
    /// first also with a child; a view over all; and grants.
    fn world() -> Vec<Entry> {
        let count = u32::try_from(APART_LEAST).expect("few");
        let tables: Vec<u32> = (1..=count).map(|number| 10 * number).collect();
        let mut entries = vec![entry(1, "SCHEMA", &[]), entry(2, "FUNCTION", &[])];
        for &id in &tables {
            entries.push(entry(id, "TABLE", &[1]));
            entries.push(entry(id + 1, "COMMENT", &[id]));
            entries.push(entry(id + 2, "SEQUENCE", &[1, id]));
        }
        entries.insert(5, entry(3, "VIEW", &[&[1, 2], &tables[..]].concat()));
        entries.insert(6, entry(4, "COMMENT", &[3]));
        entries.push(entry(5, "TABLE", &[1, 10]));
        entries.extend(
            tables
                .iter()
                .map(|id| entry(id + 3, "DEFAULT", &[*id, id + 2])),
        );
        let grants = tables
            .iter()
            .flat_map(|id| [entry(id + 4, "ACL", &[*id]), entry(id + 5, "ACL", &[*id])]);
        entries.extend(grants);
        entries
    }

    #[test]
    fn what_needs_another_is_on_its_strand_in_order() {
        let entries = world();
        let all: Vec<usize> = (0..entries.len()).collect();
        let stretches = stretches(&entries, &all);
        let [
            Stretch::InOrder(first),
            Stretch::Apart(strands),
            Stretch::InOrder(view),
            Stretch::Apart(grants),
        ] = &stretches[..]
        else {
            panic!("{stretches:?}");
        };
        assert_eq!((first, view), (&vec![0, 1], &vec![5, 6]));
        let ids = |strand: &[usize]| strand.iter().map(|&e| entries[e].id).collect::<Vec<_>>();
        let family = [10, 11, 12, 5, 13];
        assert!(
            ids(&strands[0]).starts_with(&family),
            "{:?}",
            ids(&strands[0])
        );
        for strand in strands.iter().chain(grants) {
            assert!(strand.len() <= ENTRIES_AT_ONCE);
        }
        for strand in strands {
            let own: HashSet<u32> = ids(strand).into_iter().collect();
            for &place in strand {
                let mut needs = entries[place].needs.iter().filter(|&&id| id > 1);
                assert!(needs.all(|id| own.contains(id)), "{place}");
            }
        }
        for strand in grants {
            assert!(
                strand.len() % 2 == 0,
                "both grants on a table: {:?}",
                ids(strand)
            );
        }
        let mut made: Vec<usize> = [strands.concat(), view.clone(), grants.concat()].concat();
        made.sort_unstable();
        assert_eq!(made, (2..entries.len()).collect::<Vec<_>>(), "each once");
    }

    #[test]
    fn partitions_are_made_apart_and_attached_together() {
        let count = u32::try_from(APART_LEAST).expect("few");
        let mut entries = vec![entry(1, "TABLE", &[]), entry(2, "TABLE", &[])];
        entries.extend((10..10 + count).map(|id| entry(id, "TABLE", &[1 + id % 2])));
        entries.extend(
            (10..10 + count).map(|id| entry(id + count, "TABLE ATTACH", &[id, 1 + id % 2])),
        );
        let all: Vec<usize> = (0..entries.len()).collect();
        let stretches = stretches(&entries, &all);
        let [
            Stretch::InOrder(parents),
            Stretch::Apart(tables),
            Stretch::Apart(attachments),
        ] = &stretches[..]
        else {
            panic!("{stretches:?}");
        };
        assert_eq!(parents, &[0, 1]);
        assert!(tables.len() >= APART_LEAST / ENTRIES_AT_ONCE);
        assert_eq!(attachments.len(), 2, "one strand for each parent");
    }

    #[test]
    fn few_entries_and_other_kinds_are_made_in_order() {
        let kinds = ["SCHEMA", "TYPE", "TABLE", "FUNCTION", "TABLE", "COMMENT"];
        let entries: Vec<Entry> = (1..)
            .zip(kinds)
            .map(|(id, kind)| entry(id, kind, &[]))
            .collect();
        let wanted = [0, 1, 2, 3, 5];
        assert_eq!(
            stretches(&entries, &wanted),
            [Stretch::InOrder(wanted.to_vec())]
        );
    }
}
