//! Whether faults in one table without a key can be told apart. Without a key a changed row is
//! one that the source has and the target has not, and the other way round; only their likeness
//! says that they are one row. Pure.

use super::tables::Value;

/// A row as it was, and as it is on the target.
type Pair = (Option<Vec<Value>>, Option<Vec<Value>>);

/// The faults of a table without a key.
#[derive(Debug, Default)]
pub(super) struct ToldApart {
    faults: Vec<Pair>,
}

impl ToldApart {
    /// Takes some more faults, unless somebody could then pair the wrong rows.
    pub(super) fn admit(&mut self, more: &[Pair]) -> bool {
        let before = self.faults.len();
        self.faults.extend_from_slice(more);
        let is_clear = self.is_clear();
        if !is_clear {
            self.faults.truncate(before);
        }
        is_clear
    }

    /// No row is missing while another is too many; and each changed row is more like what it
    /// was than like anything else that is on one side only.
    fn is_clear(&self) -> bool {
        let missing = self.faults.iter().any(|fault| fault.1.is_none());
        let surplus = self.faults.iter().any(|fault| fault.0.is_none());
        if missing && surplus {
            return false;
        }
        let all = || self.faults.iter().enumerate();
        all().all(|(at, fault)| {
            let (Some(was), Some(is)) = fault else {
                return true;
            };
            let own = alike(was, is);
            let mut others = all()
                .filter(|(other, _)| *other != at)
                .map(|(_, other)| other);
            own > 0
                && others.all(|(other_was, other_is)| {
                    let one = other_was.as_ref().map_or(0, |other| alike(other, is));
                    let other = other_is.as_ref().map_or(0, |other| alike(was, other));
                    one < own && other < own
                })
        })
    }
}

/// How many columns two rows share.
fn alike(one: &[Value], other: &[Value]) -> usize {
    one.iter()
        .zip(other)
        .filter(|(one, other)| one == other)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[&str]) -> Vec<Value> {
        values
            .iter()
            .map(|value| Some((*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_changed_row_must_be_most_like_itself() {
        let mut told = ToldApart::default();
        assert!(told.admit(&[(Some(row(&["1", "a", "x"])), Some(row(&["1", "a", "y"])))]));
        assert!(!told.admit(&[(Some(row(&["1", "a", "z"])), Some(row(&["1", "a", "w"])))]));
        assert!(told.admit(&[(Some(row(&["2", "b", "x"])), Some(row(&["2", "b", "z"])))]));
        assert!(
            !told.admit(&[(Some(row(&["1", "a", "y"])), None)]),
            "it would cancel out"
        );
    }

    #[test]
    fn a_missing_row_and_one_too_many_would_be_taken_for_one() {
        let mut told = ToldApart::default();
        assert!(told.admit(&[(Some(row(&["1"])), None), (Some(row(&["1"])), None)]));
        assert!(!told.admit(&[(None, Some(row(&["2"])))]));
    }

    #[test]
    fn a_row_that_shares_nothing_with_what_it_was_is_not_known_again() {
        assert!(!ToldApart::default().admit(&[(Some(row(&["1"])), Some(row(&["2"])))]));
    }
}
