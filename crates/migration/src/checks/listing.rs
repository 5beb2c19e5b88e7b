//! Findings that repeat for many objects: the first are named one by one, the rest counted, so
//! that a database with a hundred thousand tables still has a report that can be read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::finding::Finding;
use super::limits::{NAMES_IN_ONE_LINE, OBJECTS_NAMED};
use super::report::counted;

/// A finding for each item, and one more for every code that counts those beyond the limit.
pub(super) fn each<T>(
    items: impl IntoIterator<Item = T>,
    finding: impl Fn(T) -> Finding,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    // By code: how many were named, and how many more there are, with one of them.
    let mut counts: BTreeMap<&'static str, (usize, usize, Option<Finding>)> = BTreeMap::new();
    for item in items {
        let found = finding(item);
        let (named, more, example) = counts.entry(found.code).or_default();
        if *named < OBJECTS_NAMED {
            *named += 1;
            findings.push(found);
        } else {
            *more += 1;
            example.get_or_insert(found);
        }
    }
    findings.extend(counts.into_values().filter_map(|(_, more, example)| {
        Some(Finding {
            object: None,
            remedy: None,
            message: format!(
                "the same holds for {} not named here",
                counted(more, "further object")
            ),
            ..example?
        })
    }));
    findings
}

/// Names in one line: the first few, and how many there are beside.
pub(super) fn joined<T: ToString>(items: &[T]) -> String {
    let mut text = items
        .iter()
        .take(NAMES_IN_ONE_LINE)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > NAMES_IN_ONE_LINE {
        // Writing to a String cannot fail.
        let _ = write!(text, " and {} more", items.len() - NAMES_IN_ONE_LINE);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::limits::OBJECTS_NAMED;
    use super::{each, joined};
    use crate::checks::finding::Finding;

    #[test]
    fn a_long_list_ends_with_a_count_of_the_same_code() {
        let findings = each(0..OBJECTS_NAMED + 3, |number| {
            Finding::blocker("x", "y").about(number).mend("z")
        });
        assert_eq!(findings.len(), OBJECTS_NAMED + 1);
        let last = findings.last().expect("not empty");
        assert!(last.message.contains("3 further objects"));
        assert_eq!((last.code, &last.object, &last.remedy), ("x", &None, &None));
        assert!(each(0..0, |_: i32| Finding::notice("x", "y")).is_empty());
    }

    #[test]
    fn names_are_joined_with_a_count_of_the_rest() {
        assert_eq!(joined(&["a", "b"]), "a, b");
        assert_eq!(joined(&[1, 2, 3, 4, 5, 6, 7]), "1, 2, 3, 4, 5 and 2 more");
    }
}
