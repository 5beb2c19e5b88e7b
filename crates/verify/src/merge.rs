//! Two listings of rows, both in the order of (hash of the key, hash of the row), merged:
//! what is on both sides cancels out, and what is left is told apart. Pure. Holds always:
//! memory is bounded by [`GROUP_SPOTS`] and [`NAMED_IN_A_PART`], whatever the number of
//! differences or of equal rows; beyond them rows are counted and not named.

use crate::difference::DifferenceKind;
use crate::limits::{GROUP_SPOTS, NAMED_IN_A_PART};
use crate::verdict::RowCounts;

/// One row of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The hash of its key.
    pub(crate) key: i64,
    /// The hash of all of it.
    pub(crate) row: i64,
    /// The OID of the table that holds it.
    pub(crate) relation: u32,
    /// Where in it.
    pub(crate) ctid: String,
    /// The transaction that wrote it: with the place, which version of the row this is.
    pub(crate) xmin: u32,
}

/// A row that was not found alike on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) kind: DifferenceKind,
    pub(crate) from: Option<Spot>,
    pub(crate) to: Option<Spot>,
    /// Some row of its key is the same on both sides.
    pub(crate) has_equal: bool,
}

/// What a merge leaves.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// By name.
    pub(crate) named: Vec<Left>,
    /// All of them, the named ones too.
    pub(crate) counts: RowCounts,
}

impl Leftovers {
    /// Of rows that are all named.
    pub(crate) fn of(named: Vec<Left>) -> Self {
        let mut counts = RowCounts::default();
        for row in &named {
            counts.add(row.kind);
        }
        Leftovers { named, counts }
    }
}

/// Rows of one key hash that have no counterpart so far.
#[derive(Default)]
struct Group {
    key: Option<i64>,
    from: Vec<Spot>,
    to: Vec<Spot>,
    /// Some row of this key is the same on both sides.
    matched: bool,
}

/// Takes the rows of both sides in order.
#[derive(Default)]
pub(crate) struct Merge {
    group: Group,
    left: Leftovers,
}

/// Which of the two listings to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    From,
    To,
    Both,
}

impl Merge {
    /// Takes the next row of each side, `None` at its end; gives which of them it has used.
    /// Not to be called when both are at their end.
    pub(crate) fn take(&mut self, from: Option<&Spot>, to: Option<&Spot>) -> Next {
        let order = |spot: &Spot| (spot.key, spot.row);
        let next = match (from, to) {
            (Some(from), Some(to)) => match order(from).cmp(&order(to)) {
                std::cmp::Ordering::Less => Next::From,
                std::cmp::Ordering::Greater => Next::To,
                std::cmp::Ordering::Equal => Next::Both,
            },
            (Some(_), None) => Next::From,
            (None, _) => Next::To,
        };
        let taken = if next == Next::To { to } else { from };
        let Some(taken) = taken else { return next };
        if self.group.key != Some(taken.key) {
            self.close();
            self.group.key = Some(taken.key);
        }
        match next {
            Next::Both => self.group.matched = true,
            Next::From => self.hold(taken.clone(), true),
            Next::To => self.hold(taken.clone(), false),
        }
        next
    }

    fn hold(&mut self, spot: Spot, is_from: bool) {
        let Group {
            from, to, matched, ..
        } = &mut self.group;
        let held = if is_from { &mut *from } else { &mut *to };
        if held.len() < GROUP_SPOTS {
            held.push(spot);
        } else if is_from {
            self.left.counts.add(DifferenceKind::Missing);
        } else {
            let kind = surplus(*matched || !from.is_empty());
            self.left.counts.add(kind);
        }
    }

    fn close(&mut self) {
        let group = std::mem::take(&mut self.group);
        let has_equal = group.matched;
        let known = has_equal || !group.from.is_empty();
        let (mut from, mut to) = (group.from.into_iter(), group.to.into_iter());
        loop {
            let left = match (from.next(), to.next()) {
                (Some(from), Some(to)) => Left {
                    kind: DifferenceKind::Different,
                    from: Some(from),
                    to: Some(to),
                    has_equal,
                },
                (Some(from), None) => Left {
                    kind: DifferenceKind::Missing,
                    from: Some(from),
                    to: None,
                    has_equal,
                },
                (None, Some(to)) => Left {
                    kind: surplus(known),
                    from: None,
                    to: Some(to),
                    has_equal,
                },
                (None, None) => return,
            };
            self.left.counts.add(left.kind);
            if self.left.named.len() < NAMED_IN_A_PART {
                self.left.named.push(left);
            }
        }
    }

    /// What is left of everything that was taken.
    pub(crate) fn end(mut self) -> Leftovers {
        self.close();
        self.left
    }
}

/// A row of the target beyond those of the source.
fn surplus(key_is_on_both: bool) -> DifferenceKind {
    if key_is_on_both {
        DifferenceKind::Duplicated
    } else {
        DifferenceKind::Extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DifferenceKind::{Different, Duplicated, Extra, Missing};

    fn spots(rows: &[(i64, i64)]) -> Vec<Spot> {
        let spot = |(at, &(key, row)): (usize, &(i64, i64))| Spot {
            key,
            row,
            relation: 1,
            ctid: format!("(0,{at})"),
            xmin: 3,
        };
        rows.iter().enumerate().map(spot).collect()
    }

    fn merged(from: &[(i64, i64)], to: &[(i64, i64)]) -> Leftovers {
        let (from, to) = (spots(from), spots(to));
        let (mut from, mut to) = (from.iter().peekable(), to.iter().peekable());
        let mut merge = Merge::default();
        while from.peek().is_some() || to.peek().is_some() {
            match merge.take(from.peek().copied(), to.peek().copied()) {
                Next::From => drop(from.next()),
                Next::To => drop(to.next()),
                Next::Both => drop((from.next(), to.next())),
            }
        }
        merge.end()
    }

    fn kinds(from: &[(i64, i64)], to: &[(i64, i64)]) -> Vec<DifferenceKind> {
        merged(from, to)
            .named
            .iter()
            .map(|left| left.kind)
            .collect()
    }

    #[test]
    fn what_is_on_both_sides_cancels_out() {
        assert_eq!(
            kinds(&[(1, 1), (2, 2), (2, 2)], &[(1, 1), (2, 2), (2, 2)]),
            []
        );
    }

    #[test]
    fn each_kind_is_told_apart() {
        let from = [(1, 1), (2, 5), (4, 4)];
        let to = [(2, 3), (3, 3), (4, 4), (4, 9)];
        assert_eq!(kinds(&from, &to), [Missing, Different, Extra, Duplicated]);
    }

    #[test]
    fn copies_of_one_row_are_counted_one_by_one() {
        assert_eq!(kinds(&[(7, 7)], &[(7, 7), (7, 7), (7, 7)]), [Duplicated; 2]);
        assert_eq!(kinds(&[(7, 7), (7, 7)], &[(7, 7)]), [Missing]);
    }

    #[test]
    fn beyond_the_limits_rows_are_counted_and_not_named() {
        let many: Vec<(i64, i64)> = (0..40_000).map(|n| (n, n)).collect();
        let left = merged(&many, &[]);
        assert_eq!(left.counts.missing, 40_000);
        assert_eq!(left.named.len(), NAMED_IN_A_PART);
        let equal = vec![(1, 1); 40_000];
        let left = merged(&equal, &[]);
        assert_eq!(left.counts.missing, 40_000);
        assert_eq!(left.named.len(), GROUP_SPOTS);
    }
}
