//! What must be so before clients are held.

use std::time::Duration;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{OnSide, Session};
use trunkline_verify::{Comparison, TableVerdict};

use crate::error::Error;
use crate::fence::{self, FenceError};
use crate::phases::ddl_log;
use crate::run::Run;
use crate::way::Way;

/// Without the rights that the fence takes nothing is journalled, and nobody is held.
pub(super) async fn may_be_fenced(from: &mut Session, side: Side) -> Result<(), Error> {
    match fence::may_be_raised(from, side).await {
        Ok(()) => Ok(()),
        Err(FenceError::NotAllowed { side, why, remedy }) => Err(Error::Refused {
            why: format!("the {side} cannot be fenced: {why}"),
            hint: format!("nothing was held; on the {side}: {remedy} then run this again"),
        }),
        Err(FenceError::Fault(fault)) => Err(fault.into()),
        Err(error) => Err(Error::internal(&error)),
    }
}

/// A parked change is a row that the target does not have as the source does; a change of
/// structure that nobody looked at may be a table.
pub(super) async fn nothing_parked(run: &Run<'_>, side: Side) -> Result<(), Error> {
    let mut session = run.connect(side, "gates").await?;
    none_parked(run, &mut session, side).await?;
    session.close().await;
    Ok(())
}

/// The same in a session that is open.
pub(super) async fn none_parked(
    run: &Run<'_>,
    session: &mut Session,
    side: Side,
) -> Result<(), Error> {
    let name = &run.control.identity().name;
    let parked = trunkline_apply::count_parked(session, name).await;
    match parked.on(side, "counting parked changes")? {
        0 => ddl_log::none_open(run, session).await,
        count => Err(Error::Refused {
            why: format!("{count} changes are parked in trunkline.parked on the {side}"),
            hint: format!("look at each, mend its row on the {side}, and delete it there"),
        }),
    }
}

/// On the side that is to serve every index is valid, and every constraint is validated that
/// the side that serves has validated.
pub(super) async fn other_side_is_complete(run: &Run<'_>, way: Way) -> Result<(), Error> {
    let excused = unfinished(run, way.from()).await?;
    let wanting: Vec<String> = unfinished(run, way.to())
        .await?
        .into_iter()
        .filter(|name| !excused.contains(name))
        .collect();
    if wanting.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        why: format!("not valid on the {}: {}", way.to(), wanting.join(", ")),
        hint: "REINDEX or VALIDATE CONSTRAINT what is named, then run this again".to_owned(),
    })
}

async fn unfinished(run: &Run<'_>, side: Side) -> Result<Vec<String>, Error> {
    let doing = "looking for invalid indexes and constraints";
    let mut session = run.connect(side, "gates").await?;
    let rows = session
        .query(include_str!("../../sql/unfinished.sql"), &[])
        .await
        .on(side, doing)?;
    session.close().await;
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
    use trunkline_verify::{Outcome, RowCounts};

    #[test]
    fn the_cheapest_tables_are_chosen_and_the_time_is_kept() {
        let verdict = |name: &str, seconds| TableVerdict {
            table: TableName::new("s", name),
            outcome: Outcome::Matched,
            source_rows: 1,
            target_rows: 1,
            differing: RowCounts::default(),
            seconds,
        };
        let verdicts = [verdict("big", 5.0), verdict("b", 0.4), verdict("a", 0.3)];
        let names: Vec<String> = cheapest(&verdicts, Duration::from_secs(1))
            .iter()
            .map(|table| table.name.to_string())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(cheapest(&verdicts, Duration::ZERO).is_empty());
    }
}
