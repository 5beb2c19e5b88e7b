//! Which builds come when.

use proptest::prelude::*;

use super::*;
use crate::build_memory::Need;

fn build(steps: &[(usize, bool, bool, u64)]) -> Vec<BuildStep> {
    let small = steps.iter().all(|step| step.3 < 8);
    let steps = steps
        .iter()
        .map(|&(entry, primary, alone, bytes)| BuildStep {
            entry,
            table: 0,
            small,
            primary,
            company: if alone {
                Company::NothingOrIndexes
            } else {
                Company::Indexes
            },
            bytes,
            memory: Need::default(),
        });
    steps.collect()
}

fn whole(table: usize, entry: usize) -> Turn {
    let part = Part::Whole;
    Turn::Build {
        table,
        entry,
        part,
        sparing: false,
    }
}

#[test]
fn the_primary_key_comes_first_and_the_longest_index_next() {
    let one = build(&[
        (1, false, false, 50),
        (2, false, false, 90),
        (3, true, true, 10),
        (4, false, true, 99),
    ]);
    let two = build(&[(5, true, true, 70)]);
    let mut turns = Turns::new([one, two], |_| false);
    assert_eq!(turns.next(), Turn::Wait, "no table has its rows");
    turns.rows_are_in(0);
    assert_eq!(turns.next(), whole(0, 3));
    assert_eq!(turns.next(), Turn::Wait, "nothing beside the primary key");
    turns.rows_are_in(1);
    assert_eq!(turns.next(), whole(1, 5));
    assert!(!turns.built(0, 3));
    assert_eq!(turns.next(), whole(0, 4));
    assert!(!turns.built(0, 4));
    assert_eq!(turns.next(), whole(0, 2));
    assert_eq!(turns.next(), whole(0, 1));
    assert!(turns.built(1, 5));
    assert!(!turns.built(0, 2));
    assert!(turns.built(0, 1));
    assert_eq!(turns.next(), Turn::Done);
}

#[test]
fn the_index_of_a_large_key_is_built_beside_the_others_and_taken_over_at_the_end() {
    let large = BUILT_APART_BYTES;
    let steps = [
        (1, false, false, 2 * large),
        (2, true, true, large),
        (3, false, true, 3 * large),
        (4, false, true, large - 1),
    ];
    let told = |stands: &dyn Fn(&BuildStep) -> bool| -> Vec<Vec<(usize, Part)>> {
        super::steps(0, &build(&steps), stands)
            .chunk_by(|one, other| one.group == other.group)
            .map(|group| group.iter().map(|step| (step.entry, step.part)).collect())
            .collect()
    };
    let (index, over) = (Part::Index, Part::TakeOver);
    assert_eq!(
        told(&|_| false),
        [
            vec![(4, Part::Whole)],
            vec![(2, index), (3, index), (1, Part::Whole)],
            vec![(2, over)],
            vec![(3, over)],
        ]
    );
    assert_eq!(
        told(&|step| step.entry == 2),
        [
            vec![(4, Part::Whole)],
            vec![(3, index), (1, Part::Whole)],
            vec![(2, over)],
            vec![(3, over)],
        ],
        "one that stands is not built again"
    );
    let lonely = build(&[(1, true, true, 9 * large)]);
    let lonely = super::steps(0, &lonely, |_| false);
    assert!(matches!(
        lonely[..],
        [Step {
            entry: 1,
            part: Part::Whole,
            ..
        }]
    ));
}

#[test]
fn small_builds_go_together_and_fewer_at_the_end() {
    let large = build(&[(0, true, true, 10_000)]);
    let small = (1..=600).map(|n| build(&[(n, true, true, 1)]));
    let tables: Vec<Vec<BuildStep>> = std::iter::once(large).chain(small).collect();
    let mut turns = Turns::new(tables.clone(), |_| false);
    for table in 0..tables.len() {
        turns.rows_are_in(table);
    }
    assert_eq!(turns.next(), whole(0, 0));
    assert!(turns.built(0, 0));
    let (mut sizes, mut built) = (Vec::new(), 0);
    while let Turn::Together(small) = turns.next() {
        sizes.push(small.len());
        for (table, entry) in small {
            assert_eq!(
                (table, entry),
                (600 - built, 600 - built),
                "the longest first"
            );
            built += 1;
            assert!(turns.built(table, entry));
        }
    }
    assert_eq!((sizes[0], sizes[sizes.len() - 1]), (32, 2));
    // The last of all were taken one by one; `next` above took the first of them.
    assert_eq!(built, 600 - 16);
}

#[test]
fn beside_a_build_that_takes_longer_than_all_others_they_go_one_by_one() {
    let steps = [
        (1, true, true, 40),
        (2, false, false, 1_000),
        (3, false, false, 60),
    ];
    let tables = [
        build(&steps),
        build(&[(4, true, true, 50)]),
        build(&[(5, true, true, 90)]),
    ];
    let mut turns = Turns::new(tables.clone(), |_| false);
    for table in 0..3 {
        turns.rows_are_in(table);
    }
    let sparing = |table, entry| Turn::Build {
        table,
        entry,
        part: Part::Whole,
        sparing: true,
    };
    assert_eq!(turns.next(), whole(2, 5));
    assert_eq!(turns.next(), whole(1, 4));
    assert_eq!(
        turns.next(),
        whole(0, 1),
        "the long one waits for its table's key"
    );
    assert!(turns.built(2, 5));
    assert!(!turns.built(0, 1));
    assert_eq!(turns.next(), whole(0, 2), "the long one");
    assert_eq!(turns.next(), Turn::Wait, "there is one beside it");
    assert!(turns.built(1, 4));
    assert_eq!(turns.next(), sparing(0, 3));
    assert_eq!(turns.next(), Turn::Wait);
    assert!(!turns.built(0, 2));
    assert!(turns.built(0, 3));
    assert_eq!(turns.next(), Turn::Done);
}

proptest! {
    #[test]
    fn every_step_is_given_out_once_whatever_ends_first(
        tables in prop::collection::vec(
            prop::collection::vec((any::<bool>(), 0u64..40, any::<bool>()), 0..4), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let mut entries = 0;
        let tables: Vec<Vec<BuildStep>> = tables.iter().map(|steps| {
            let steps: Vec<(usize, bool, bool, u64)> = steps.iter().map(|&(alone, size, large)| {
                entries += 1;
                let bytes = if large { size * BUILT_APART_BYTES } else { size };
                (entries, false, alone, bytes)
            }).collect();
            build(&steps)
        }).collect();
        // Every third constraint's index stands from before.
        let mut turns = Turns::new(tables.clone(), |step| {
            step.company == Company::NothingOrIndexes && step.entry % 3 == 0
        });
        let (mut given, mut running, mut waited) = (Vec::new(), Vec::new(), 0);
        (0..tables.len()).for_each(|table| turns.rows_are_in(table));
        for end in order.iter().cycle() {
            match turns.next() {
                Turn::Done => break,
                Turn::Build { table, entry, part, .. } => {
                    given.push((entry, part == Part::Index));
                    running.push((table, entry));
                }
                Turn::Together(small) => {
                    given.extend(small.iter().map(|&(_, entry)| (entry, false)));
                    running.extend(small);
                }
                Turn::Wait => {
                    prop_assert!(!running.is_empty(), "it waits for nothing");
                    waited += 1;
                    prop_assert!(waited < 10_000);
                    let (table, entry) = running.swap_remove(end.index(running.len()));
                    turns.built(table, entry);
                }
            }
        }
        given.retain(|&(_, index)| !index);
        given.sort_unstable();
        prop_assert!(given.iter().map(|&(entry, _)| entry).eq(1..=entries));
        prop_assert_eq!(turns.left, 0);
    }
}
