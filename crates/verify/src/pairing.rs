//! Without a key a changed row looks like one that is missing and one that is too many.
//! Pure: holds the two against each other and takes those that share most of their columns
//! for one row that differs.

use crate::difference::DifferenceKind;
use crate::limits::PAIRED_WITHOUT_KEY;
use crate::naming::{Detail, Detailed};
use crate::verdict::RowCounts;

/// Turns pairs of a missing row and a row too many into rows that differ, the most alike
/// first; counts change with them.
pub(crate) fn pair_without_key(rows: Vec<Detailed>, counts: &mut RowCounts) -> Vec<Detailed> {
    let (mut missing, mut surplus, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match row.kind {
            DifferenceKind::Missing => missing.push(Some(row)),
            DifferenceKind::Extra | DifferenceKind::Duplicated => surplus.push(Some(row)),
            DifferenceKind::Different => rest.push(row),
        }
    }
    if missing.len() <= PAIRED_WITHOUT_KEY && surplus.len() <= PAIRED_WITHOUT_KEY {
        for (one, other) in alike(&missing, &surplus) {
            let pair = missing[one].as_ref().zip(surplus[other].as_ref());
            let Some((from, to)) = pair.map(|(from, to)| (from.clone(), to.clone())) else {
                continue;
            };
            (missing[one], surplus[other]) = (None, None);
            counts.turn(from.kind, to.kind);
            rest.push(Detailed {
                kind: DifferenceKind::Different,
                from: from.from,
                to: to.to,
            });
        }
    }
    rest.extend(missing.into_iter().chain(surplus).flatten());
    rest
}

/// Pairs that share a column, those that share most first; a pair that shares none only when
/// it is the only one.
fn alike(missing: &[Option<Detailed>], surplus: &[Option<Detailed>]) -> Vec<(usize, usize)> {
    let detail = |side: fn(&Detailed) -> Option<&Detail>, row: &Option<Detailed>| {
        row.as_ref().and_then(side).cloned()
    };
    let from: Vec<Option<Detail>> = missing
        .iter()
        .map(|row| detail(|row| row.from.as_ref(), row))
        .collect();
    let to: Vec<Option<Detail>> = surplus
        .iter()
        .map(|row| detail(|row| row.to.as_ref(), row))
        .collect();
    let only = from.len() == 1 && to.len() == 1;
    let mut pairs = Vec::new();
    for (one, from) in from.iter().enumerate() {
        for (other, to) in to.iter().enumerate() {
            let (Some(from), Some(to)) = (from, to) else {
                continue;
            };
            let columns = from.columns.iter().zip(&to.columns);
            let shared = columns.filter(|(one, other)| one == other).count();
            if shared > 0 || only {
                pairs.push((shared, one, other));
            }
        }
    }
    pairs.sort_by_key(|&(shared, one, other)| (std::cmp::Reverse(shared), one, other));
    pairs
        .into_iter()
        .map(|(_, one, other)| (one, other))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::Place;

    fn row(kind: DifferenceKind, columns: &[i64]) -> Detailed {
        let detail = Some(Detail {
            place: Place {
                relation: "s.t".to_owned(),
                ctid: "(0,1)".to_owned(),
            },
            key: Vec::new(),
            columns: columns.to_vec(),
        });
        let (from, to) = match kind {
            DifferenceKind::Missing => (detail, None),
            _ => (None, detail),
        };
        Detailed { kind, from, to }
    }

    #[test]
    fn the_most_alike_are_one_row_that_changed() {
        let rows = vec![
            row(DifferenceKind::Missing, &[1, 2, 3]),
            row(DifferenceKind::Extra, &[1, 9, 9]),
            row(DifferenceKind::Extra, &[1, 2, 9]),
            row(DifferenceKind::Missing, &[7, 7, 7]),
        ];
        let mut counts = RowCounts {
            missing: 2,
            extra: 2,
            ..RowCounts::default()
        };
        let paired = pair_without_key(rows, &mut counts);
        let changed = &paired[0];
        assert_eq!(changed.kind, DifferenceKind::Different);
        let to = changed.to.as_ref().expect("the target's row");
        assert_eq!(to.columns, [1, 2, 9]);
        assert_eq!(paired.len(), 3, "{paired:?}");
        assert_eq!((counts.missing, counts.extra, counts.different), (1, 1, 1));
    }
}
