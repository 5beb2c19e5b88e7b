//! Whether a condition can be used on the tables that it is meant for: both servers are
//! asked, before anything is compared, in transactions that cannot write.

use std::collections::BTreeSet;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Fault, OnSide, PgError, Session};
use trunkline_verify::{Comparison, End};

use super::{Chosen, Condition};
use crate::error::Error;
use crate::plan::Plan;

/// Refuses a condition for many tables, or one that a server does not take. `roots` are the
/// tables that were chosen, partitions counted with their root; changes come `from` a side.
pub(crate) async fn refuse_unusable(
    plan: &Plan,
    chosen: &Chosen,
    roots: &BTreeSet<TableName>,
    comparisons: &[Comparison],
    from: Side,
) -> Result<(), Error> {
    let Some(condition) = &chosen.condition else {
        return Ok(());
    };
    if roots.len() > 1 {
        return Err(Error::Plan {
            why: format!(
                "--where goes with one table, and {} are chosen",
                roots.len()
            ),
            hint: "name one with --table schema.table".to_owned(),
        });
    }
    for side in [Side::Source, Side::Target] {
        let doing = "opening a transaction that cannot write";
        let session = Session::connect(plan.server(side), "verify").await;
        let mut session = session.on(side, doing)?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        session.batch(begin).await.on(side, doing)?;
        for comparison in comparisons {
            let (tables, end) = if side == from {
                (comparison.sources.as_slice(), End::From)
            } else {
                (std::slice::from_ref(&comparison.target), End::To)
            };
            for table in tables {
                let item = comparison.from_item(end, table);
                probe(&mut session, side, condition, table, &item).await?;
            }
        }
        session.close().await;
    }
    Ok(())
}

async fn probe(
    session: &mut Session,
    side: Side,
    condition: &Condition,
    table: &TableName,
    item: &str,
) -> Result<(), Error> {
    // The extended protocol takes one statement.
    let sql = format!(
        "SELECT FROM {item} WHERE ({condition}) LIMIT 0",
        condition = condition.sql(),
    );
    let asked = session.query(&sql, &[]).await;
    asked.map_err(|cause| {
        let doing = format!("reading the condition for {table}");
        let fault = Fault { side, doing, cause };
        refuse_condition(Some(condition), Error::Server(fault))
    })?;
    Ok(())
}

/// Turns what a server says against a condition into a fault of the condition's.
pub(crate) fn refuse_condition(condition: Option<&Condition>, error: Error) -> Error {
    match (condition, error) {
        (Some(condition), Error::Server(fault)) if is_of_the_condition(&fault.cause) => {
            Error::Plan {
                why: format!(
                    "the {} refuses the condition `{}`: {}",
                    fault.side,
                    condition.sql(),
                    fault.cause
                ),
                hint: "give an expression over the table's columns that both servers take and \
                       that writes nothing; what is not built in needs its schema's name"
                    .to_owned(),
            }
        }
        (_, error) => error,
    }
}

/// Syntax, names, types and rights (42), values (22), writing (25), functions (2F, 38, 39, P0),
/// what cannot be had (0A, 21).
fn is_of_the_condition(error: &PgError) -> bool {
    let classes = ["42", "22", "25", "2F", "38", "39", "P0", "0A", "21"];
    let state = error.sqlstate().map(trunkline_postgres::SqlState::as_str);
    state.is_some_and(|state| classes.iter().any(|class| state.starts_with(class)))
}
