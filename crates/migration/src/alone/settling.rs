//! Rows that differ on sides that are written, looked at again. Without a migration nobody
//! can pair the two sides, so a row counts as different once two looks in a row find it where
//! it was on both sides; what moves from look to look is busy, and counts no more.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use trunkline_changes::TableName;
use trunkline_verify::{
    Comparison, DifferenceKind, Outcome, Place, RowCounts, RowDifference, TableVerdict,
};

use super::comparing::{Compared, Work};
use crate::error::Error;
use crate::limits::SETTLE_LOOK;
use crate::observer::Notice;

/// Looks again, for at most `within`, at the tables that differ, and keeps in `compared` what
/// stays; gives the rows that kept moving.
pub(super) async fn settle(
    work: &Work<'_>,
    list: &[Comparison],
    compared: &mut Compared,
    within: Duration,
) -> Result<Vec<RowDifference>, Error> {
    let began = Instant::now();
    let mut open = Open::of(compared);
    while !open.tables.is_empty() && began.elapsed() < within {
        let step = "looking again at what differs";
        work.observer.notice(Notice::Step(step));
        let wait = SETTLE_LOOK.min(within.saturating_sub(began.elapsed()));
        tokio::time::sleep(wait).await;
        let chosen = |c: &&Comparison| open.tables.contains_key(&c.target);
        let list: Vec<Comparison> = list.iter().filter(chosen).cloned().collect();
        let look = work.compare(&list, |_| {}).await?;
        open.look(look, compared);
    }
    Ok(open.end(compared))
}

/// The tables that are still looked at, taken out of what was found.
#[derive(Debug, Default)]
struct Open {
    tables: BTreeMap<TableName, Look>,
}

/// The last look at a table.
#[derive(Debug)]
struct Look {
    verdict: TableVerdict,
    rows: Vec<RowDifference>,
    /// Rows that lay there in the look before, by their place in `rows`.
    stayed: BTreeSet<usize>,
    /// Whether there was a look before.
    again: bool,
}

impl Open {
    fn of(compared: &mut Compared) -> Self {
        let mut open = Open::default();
        let mut rows = by_table(std::mem::take(&mut compared.found.rows));
        let verdicts = std::mem::take(&mut compared.found.verdicts);
        for verdict in verdicts {
            let rows = rows.remove(&verdict.table).unwrap_or_default();
            if verdict.matched() || !all_named(&verdict, &rows) {
                close(compared, verdict, rows);
            } else {
                let look = Look {
                    rows,
                    stayed: BTreeSet::new(),
                    again: false,
                    verdict: verdict.clone(),
                };
                open.tables.insert(verdict.table, look);
            }
        }
        open
    }

    /// Takes a further look at the tables: what is settled by it goes to `compared`.
    fn look(&mut self, look: Compared, compared: &mut Compared) {
        for (table, fault) in look.failed {
            self.tables.remove(&table);
            compared.failed.push((table, fault));
        }
        let mut rows = by_table(look.found.rows);
        for verdict in look.found.verdicts {
            let Some(before) = self.tables.remove(&verdict.table) else {
                continue;
            };
            let rows = rows.remove(&verdict.table).unwrap_or_default();
            let lay: HashSet<Spot<'_>> = before.rows.iter().map(spot).collect();
            let stayed: BTreeSet<usize> = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| lay.contains(&spot(row)))
                .map(|(at, _)| at)
                .collect();
            let disturbed = verdict.outcome == Outcome::Disturbed;
            let settled = !disturbed && stayed.len() == rows.len();
            if settled || !all_named(&verdict, &rows) {
                close(compared, verdict, rows);
                continue;
            }
            let look = Look {
                rows,
                stayed,
                again: true,
                verdict: verdict.clone(),
            };
            self.tables.insert(verdict.table, look);
        }
    }

    /// What stayed in the last two looks differs; gives the rest.
    fn end(self, compared: &mut Compared) -> Vec<RowDifference> {
        let mut busy = Vec::new();
        for (_, look) in self.tables {
            let mut verdict = look.verdict;
            if !look.again || verdict.outcome == Outcome::Disturbed {
                close(compared, verdict, look.rows);
                continue;
            }
            let mut differ = Vec::new();
            for (at, row) in look.rows.into_iter().enumerate() {
                if look.stayed.contains(&at) {
                    differ.push(row);
                } else {
                    busy.push(row);
                }
            }
            verdict.differing = counted(&differ);
            if differ.is_empty() {
                verdict.outcome = Outcome::Busy;
            }
            close(compared, verdict, differ);
        }
        compared
            .found
            .verdicts
            .sort_by(|a, b| a.table.cmp(&b.table));
        compared.found.rows.sort_by(|a, b| a.table.cmp(&b.table));
        busy
    }
}

/// Every row that differs has a name: only then it can be said which of them moved.
fn all_named(verdict: &TableVerdict, rows: &[RowDifference]) -> bool {
    verdict.outcome == Outcome::Disturbed
        || (!rows.is_empty() && verdict.differing.total() == rows.len() as u64)
}

fn close(compared: &mut Compared, verdict: TableVerdict, rows: Vec<RowDifference>) {
    compared.found.verdicts.push(verdict);
    compared.found.rows.extend(rows);
}

fn by_table(rows: Vec<RowDifference>) -> BTreeMap<TableName, Vec<RowDifference>> {
    let mut by_table: BTreeMap<TableName, Vec<RowDifference>> = BTreeMap::new();
    for row in rows {
        by_table.entry(row.table.clone()).or_default().push(row);
    }
    by_table
}

/// Where a row lies on both sides: an update puts it elsewhere.
type Spot<'a> = (
    DifferenceKind,
    Option<(&'a str, &'a str)>,
    Option<(&'a str, &'a str)>,
);

fn spot(row: &RowDifference) -> Spot<'_> {
    fn at(place: &Place) -> (&str, &str) {
        (place.relation.as_str(), place.ctid.as_str())
    }
    let (source, target) = (row.source.as_ref(), row.target.as_ref());
    (row.kind, source.map(at), target.map(at))
}

fn counted(rows: &[RowDifference]) -> RowCounts {
    let of = |kind| rows.iter().filter(|row| row.kind == kind).count() as u64;
    RowCounts {
        missing: of(DifferenceKind::Missing),
        extra: of(DifferenceKind::Extra),
        different: of(DifferenceKind::Different),
        duplicated: of(DifferenceKind::Duplicated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_verify::Found;

    fn row(source: Option<&str>, target: Option<&str>) -> RowDifference {
        let place = |ctid: &str| Place {
            relation: "public.t".to_owned(),
            ctid: ctid.to_owned(),
        };
        RowDifference {
            table: TableName::new("public", "t"),
            kind: match (source, target) {
                (Some(_), Some(_)) => DifferenceKind::Different,
                (Some(_), None) => DifferenceKind::Missing,
                _ => DifferenceKind::Extra,
            },
            key: Vec::new(),
            columns: Vec::new(),
            source: source.map(place),
            target: target.map(place),
        }
    }

    fn found(rows: &[RowDifference]) -> Compared {
        let verdict = TableVerdict {
            table: TableName::new("public", "t"),
            outcome: if rows.is_empty() {
                Outcome::Matched
            } else {
                Outcome::ContentsDiffer
            },
            source_rows: 9,
            target_rows: 9,
            differing: counted(rows),
            seconds: 0.0,
        };
        let rows = rows.to_vec();
        let verdicts = vec![verdict];
        let found = Found { verdicts, rows };
        let failed = Vec::new();
        Compared { found, failed }
    }

    /// The outcome after some looks, rows that differ, and rows that are busy.
    fn after(looks: &[&[RowDifference]]) -> (Outcome, usize, usize) {
        let mut compared = found(looks[0]);
        let mut open = Open::of(&mut compared);
        for rows in &looks[1..] {
            if !open.tables.is_empty() {
                open.look(found(rows), &mut compared);
            }
        }
        let busy = open.end(&mut compared).len();
        let outcome = compared.found.verdicts[0].outcome.clone();
        (outcome, compared.found.rows.len(), busy)
    }

    #[test]
    fn a_row_that_stays_where_it_is_differs_and_one_that_moves_is_busy() {
        let stays = || row(Some("(0,1)"), Some("(0,1)"));
        let moves = |at: &str| row(Some(at), Some("(0,2)"));
        assert_eq!(
            after(&[&[stays()], &[stays()]]),
            (Outcome::ContentsDiffer, 1, 0)
        );
        assert_eq!(
            after(&[&[stays(), moves("(0,2)")], &[stays(), moves("(0,3)")]]),
            (Outcome::ContentsDiffer, 1, 1)
        );
        assert_eq!(
            after(&[&[moves("(0,2)")], &[moves("(0,3)")], &[moves("(0,4)")]]),
            (Outcome::Busy, 0, 1)
        );
    }

    #[test]
    fn a_row_that_arrives_is_no_difference_and_one_look_alone_counts() {
        let missing = row(Some("(0,1)"), None);
        let later = row(Some("(0,2)"), None);
        let one = std::slice::from_ref(&missing);
        assert_eq!(after(&[one, &[]]), (Outcome::Matched, 0, 0));
        assert_eq!(after(&[one]), (Outcome::ContentsDiffer, 1, 0));
        let other = std::slice::from_ref(&later);
        assert_eq!(after(&[one, other, &[]]), (Outcome::Matched, 0, 0));
    }
}
