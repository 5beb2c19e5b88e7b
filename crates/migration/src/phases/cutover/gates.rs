//! What must be so before clients are held.

use std::time::Duration;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{OnSide, Session};
use trunkline_verify::{Comparison, TableVerdict};

use crate::error::Error;
use crate::run::Run;

/// A parked change is a row that the target does not have as the source does.
pub(super) async fn nothing_parked(run: &mut Run<'_>) -> Result<(), Error> {
    let name = run.control.identity().name.clone();
    let parked = trunkline_apply::count_parked(run.control.session(), &name).await;
    match parked.on(Side::Target, "counting parked changes")? {
        0 => Ok(()),
        count => Err(Error::Refused {
            why: format!("{count} changes are parked in trunkline.parked on the target"),
            hint: "look at each, mend its row on the target, and delete it there".to_owned(),
        }),
    }
}

/// Every index of the target is valid, and every constraint that the source has validated
/// is validated there.
pub(super) async fn target_is_complete(run: &mut Run<'_>) -> Result<(), Error> {
    let doing = "looking for invalid indexes and constraints";
    let mut source = Session::connect(&run.plan.source, "gates")
        .await
        .on(Side::Source, doing)?;
    let excused = unfinished(&mut source, Side::Source).await?;
    source.close().await;
    let found = unfinished(run.control.session(), Side::Target).await?;
    let wanting: Vec<String> = found
        .into_iter()
        .filter(|name| !excused.contains(name))
        .collect();
    if wanting.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        why: format!("not valid on the target: {}", wanting.join(", ")),
        hint: "REINDEX or VALIDATE CONSTRAINT what is named, then run the cutover again".to_owned(),
    })
}

async fn unfinished(session: &mut Session, side: Side) -> Result<Vec<String>, Error> {
    let doing = "looking for invalid indexes and constraints";
    let rows = session
        .query(include_str!("../../sql/unfinished.sql"), &[])
        .await
        .on(side, doing)?;
    let names: Result<Vec<String>, _> = rows.iter().map(|row| row.get(0)).collect();
    Ok(names.on(side, doing)?)
}

/// The tables that can be compared again within a time, judged by how long each took.
pub(super) fn cheapest(verdicts: &[TableVerdict], within: Duration) -> Vec<TableName> {
    let mut sorted: Vec<&TableVerdict> = verdicts.iter().collect();
    sorted.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut left = within.as_secs_f64();
    let fits = |verdict: &&TableVerdict| {
        left -= verdict.seconds;
        left >= 0.0
    };
    sorted
        .into_iter()
        .take_while(fits)
        .map(|verdict| verdict.table.clone())
        .collect()
}

/// Picks the comparisons of these tables from those of the last verification.
pub(super) fn chosen(list: &[Comparison], tables: &[TableName]) -> Vec<Comparison> {
    list.iter()
        .filter(|comparison| tables.contains(&comparison.target))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_verify::Outcome;

    #[test]
    fn the_cheapest_tables_are_chosen_and_the_time_is_kept() {
        let verdict = |name: &str, seconds| TableVerdict {
            table: TableName::new("s", name),
            outcome: Outcome::Matched,
            source_rows: 1,
            target_rows: 1,
            seconds,
        };
        let verdicts = [verdict("big", 5.0), verdict("b", 0.4), verdict("a", 0.3)];
        let names: Vec<String> = cheapest(&verdicts, Duration::from_secs(1))
            .iter()
            .map(|table| table.name.clone())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(cheapest(&verdicts, Duration::ZERO).is_empty());
    }
}
