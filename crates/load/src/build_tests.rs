//! Which builds come when.

use super::*;

fn build(name: &str, steps: &[(usize, bool, bool, u64)]) -> TableBuild {
    TableBuild {
        table: TableName::new("public", name),
        partitioned: false,
        steps: steps
            .iter()
            .map(|&(entry, primary, alone, bytes)| BuildStep {
                entry,
                primary,
                alone,
                apart: alone,
                bytes,
                settings: String::new(),
            })
            .collect(),
    }
}

fn whole(table: usize, entry: usize) -> Turn {
    let part = Part::Whole;
    Turn::Build { table, entry, part }
}

#[test]
fn the_primary_key_comes_first_and_the_longest_index_next() {
    let one = build(
        "a",
        &[
            (1, false, false, 50),
            (2, false, false, 90),
            (3, true, true, 10),
            (4, false, true, 99),
        ],
    );
    let two = build("b", &[(5, true, true, 70)]);
    let mut turns = Turns::new(&[one, two], |_| false);
    assert_eq!(turns.next(), Turn::Wait, "no table has its rows");
    turns.rows_are_in(0);
    assert_eq!(turns.next(), whole(0, 3));
    assert_eq!(turns.next(), Turn::Wait, "nothing beside the primary key");
    turns.rows_are_in(1);
    assert_eq!(turns.next(), whole(1, 5));
    assert!(!turns.built(0));
    assert_eq!(turns.next(), whole(0, 4));
    assert!(!turns.built(0));
    assert_eq!(turns.next(), whole(0, 2));
    assert_eq!(turns.next(), whole(0, 1));
    assert!(turns.built(1));
    assert!(!turns.built(0));
    assert!(turns.built(0));
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
        groups(&build("a", &steps), stands)
            .into_iter()
            .map(|group| group.into_iter().map(|(_, e, part)| (e, part)).collect())
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
    let lonely = build("b", &[(1, true, true, 9 * large)]);
    let lonely = groups(&lonely, |_| false);
    assert_eq!(lonely, [vec![(9 * large, 1, Part::Whole)]]);
}
