//! Rows that differed while they were looked at under writes: which of them really do. Pure.
//!
//! Every look reads first the side that changes go to (T), then the side that they come from
//! (S); before look n begins, everything that S saw at look n − 1 is applied. Then
//! - a row whose version on S is the same at looks n − 1 and n was there, unchanged, all the
//!   time between them, so T of look n must have it: what T lacks or has otherwise differs;
//! - a row that S has at neither look, and whose version on T is the same at both, was not
//!   touched on T from before S of look n − 1 until after it, and S did not have it: it is
//!   too many.
//!
//! Everything else may still be on its way, and is looked at again. A row that agrees once is
//! settled: whatever changes it afterwards comes through the stream.

use std::collections::{HashMap, HashSet};

use crate::merge::{Left, Leftovers, Spot};

/// A version of a row: its table, its place, and who wrote it.
type Version = (u32, String, u32);

fn version(spot: Option<&Spot>) -> Option<Version> {
    spot.map(|spot| (spot.relation, spot.ctid.clone(), spot.xmin))
}

/// What was seen of a row at the last look.
struct Seen {
    from: Option<Version>,
    to: Option<Version>,
}

/// Rows under suspicion, by the hash of their key.
pub(crate) struct Suspects {
    seen: HashMap<i64, Vec<Seen>>,
    /// The last look named every row that differed: others that differ later agreed then.
    is_whole: bool,
    /// Without a key, which of several equal rows is left over is chance: nothing follows from
    /// its version.
    has_key: bool,
    /// What was confirmed, so that it is not confirmed again.
    confirmed: HashSet<(Option<Version>, Option<Version>)>,
}

/// What a look has made of the suspects.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// These differ.
    pub(crate) confirmed: Vec<Left>,
    /// So many are still open.
    pub(crate) open: u64,
}

impl Suspects {
    /// After the first look.
    pub(crate) fn new(left: &Leftovers, has_key: bool) -> Self {
        let mut suspects = Suspects {
            seen: HashMap::new(),
            is_whole: is_whole(left),
            has_key,
            confirmed: HashSet::new(),
        };
        for row in &left.named {
            suspects.note(row);
        }
        suspects
    }

    fn note(&mut self, row: &Left) {
        if let Some(key) = key(row) {
            self.seen.entry(key).or_default().push(Seen {
                from: version(row.from.as_ref()),
                to: version(row.to.as_ref()),
            });
        }
    }

    /// After another look.
    pub(crate) fn judge(&mut self, left: Leftovers) -> Judged {
        let before = std::mem::replace(self, Suspects::new(&Leftovers::default(), self.has_key));
        self.confirmed = before.confirmed;
        self.is_whole = before.is_whole || is_whole(&left);
        let unnamed = left.counts.total() - left.named.len() as u64;
        let mut judged = Judged {
            open: if before.is_whole { 0 } else { unnamed },
            ..Judged::default()
        };
        for row in left.named {
            let versions = (version(row.from.as_ref()), version(row.to.as_ref()));
            if self.confirmed.contains(&versions) {
                continue;
            }
            let suspected = key(&row).and_then(|key| before.seen.get(&key));
            let tells = self.has_key || !row.has_equal;
            if tells && suspected.is_some_and(|seen| seen.iter().any(|seen| stayed(seen, &row))) {
                self.confirmed.insert(versions);
                judged.confirmed.push(row);
            } else if suspected.is_some() || !before.is_whole {
                self.note(&row);
                judged.open += 1;
            }
        }
        judged
    }
}

fn is_whole(left: &Leftovers) -> bool {
    left.counts.total() == left.named.len() as u64
}

fn key(row: &Left) -> Option<i64> {
    let spot = row.from.as_ref().or(row.to.as_ref());
    spot.map(|spot| spot.key)
}

fn stayed(seen: &Seen, now: &Left) -> bool {
    match &now.from {
        Some(from) => seen.from == version(Some(from)),
        None => seen.from.is_none() && seen.to == version(now.to.as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::DifferenceKind;
    use crate::verdict::RowCounts;

    fn spot(xmin: u32) -> Spot {
        Spot {
            key: 1,
            row: 5,
            relation: 9,
            ctid: "(0,1)".to_owned(),
            xmin,
        }
    }

    /// A look at one row, of which each side has a version or none.
    fn look(from: Option<u32>, to: Option<u32>) -> Leftovers {
        let (from, to) = (from.map(spot), to.map(spot));
        let kind = match (&from, &to) {
            (Some(_), Some(_)) => DifferenceKind::Different,
            (Some(_), None) => DifferenceKind::Missing,
            _ => DifferenceKind::Extra,
        };
        let mut counts = RowCounts::default();
        counts.add(kind);
        Leftovers {
            named: vec![Left {
                kind,
                from,
                to,
                has_equal: false,
            }],
            counts,
        }
    }

    fn after(first: &Leftovers, second: Leftovers) -> (usize, u64) {
        let judged = Suspects::new(first, true).judge(second);
        (judged.confirmed.len(), judged.open)
    }

    #[test]
    fn a_row_that_stood_still_on_the_source_and_never_came_differs() {
        assert_eq!(after(&look(Some(7), None), look(Some(7), None)), (1, 0));
        assert_eq!(
            after(&look(Some(7), Some(1)), look(Some(7), Some(2))),
            (1, 0)
        );
    }

    #[test]
    fn a_row_that_is_written_again_and_again_stays_open() {
        assert_eq!(after(&look(Some(7), None), look(Some(8), None)), (0, 1));
    }

    #[test]
    fn a_row_too_many_differs_only_if_the_target_did_not_touch_it() {
        assert_eq!(after(&look(None, Some(7)), look(None, Some(7))), (1, 0));
        assert_eq!(after(&look(None, Some(7)), look(None, Some(8))), (0, 1));
        // Deleted on the source between the looks: the delete is on its way.
        assert_eq!(after(&look(Some(3), Some(7)), look(None, Some(7))), (0, 1));
    }

    #[test]
    fn a_row_that_agreed_once_is_settled() {
        let mut suspects = Suspects::new(&look(Some(7), None), true);
        let agreed = suspects.judge(Leftovers::default());
        assert_eq!((agreed.confirmed.len(), agreed.open), (0, 0));
        let later = suspects.judge(look(Some(7), None));
        assert_eq!((later.confirmed.len(), later.open), (0, 0));
    }

    #[test]
    fn rows_that_were_only_counted_stay_open_until_they_are_named() {
        let mut many = look(Some(7), None);
        many.counts.missing = 3;
        let mut suspects = Suspects::new(&many, true);
        let judged = suspects.judge(look(Some(8), None));
        assert_eq!((judged.confirmed.len(), judged.open), (0, 1));
    }

    #[test]
    fn of_several_equal_rows_without_a_key_none_is_confirmed() {
        let mut surplus = look(None, Some(7));
        surplus.named[0].has_equal = true;
        let mut suspects = Suspects::new(&surplus, false);
        let judged = suspects.judge(surplus);
        assert_eq!((judged.confirmed.len(), judged.open), (0, 1));
    }

    #[test]
    fn what_was_confirmed_is_not_confirmed_again() {
        let many = || {
            let mut many = look(Some(7), None);
            many.counts.missing = 3;
            many
        };
        let mut suspects = Suspects::new(&many(), true);
        assert_eq!(suspects.judge(many()).confirmed.len(), 1);
        assert_eq!(suspects.judge(many()).confirmed.len(), 0);
        assert_eq!(suspects.judge(many()).confirmed.len(), 0);
    }
}
