//! What a comparison covers, and what its report has to say of the rest.

use std::collections::BTreeSet;

use trunkline_changes::TableName;
use trunkline_load::{Lineage, Table};
use trunkline_verify::Comparison;

use super::Selection;
use crate::choice::Chosen;
use crate::error::Error;
use crate::plan::Plan;
use crate::report::VerifyReport;
use crate::run::{Tables, is_streamed};

/// Whether a table was chosen, itself or with one that it is a partition of.
pub(super) fn is_chosen(chosen: &Chosen, lineage: &Lineage<'_>, table: &TableName) -> bool {
    let above: Vec<&TableName> = lineage.above(table).collect();
    chosen.covers(table, &above)
}

/// The tables that are compared, partitions counted with their root.
pub(super) fn roots(list: &[Comparison], tables: &[Table]) -> BTreeSet<TableName> {
    let lineage = Lineage::of(tables);
    let compared = list.iter().flat_map(|comparison| &comparison.sources);
    compared
        .filter_map(|name| lineage.from(name).last())
        .cloned()
        .collect()
}

/// A choice of which nothing can be compared is an error, never an empty success.
pub(super) fn refuse_nothing(
    plan: &Plan,
    standing: &Tables,
    chosen: &Chosen,
    list: &[Comparison],
) -> Result<(), Error> {
    if !list.is_empty() {
        return Ok(());
    }
    let lineage = Lineage::of(&standing.moving);
    let tables = standing.moving.iter();
    let of_choice = tables.filter(|table| is_chosen(chosen, &lineage, &table.name));
    let reasons: Vec<String> = of_choice
        .map(|table| format!("{} {}", table.name, why_not(plan, standing, table)))
        .collect();
    Err(Error::Refused {
        why: if reasons.is_empty() {
            "the migration moves none of the tables that were chosen".to_owned()
        } else {
            format!("nothing is left to compare: {}", reasons.join("; "))
        },
        hint: "choose others with --table; `trunkline verify --alone` compares tables whose \
               changes the stream does not carry"
            .to_owned(),
    })
}

fn why_not(plan: &Plan, standing: &Tables, table: &Table) -> &'static str {
    if plan.validation.leaves_out(standing.on_source(&table.name)) {
        "is left out by the plan's [validation]"
    } else if table.unlogged {
        "is unlogged, and copied again at the cutover"
    } else if !table.data {
        "moves without its rows"
    } else if is_streamed(table) {
        "is not on the other side"
    } else {
        "holds no rows of its own that the stream carries"
    }
}

/// Completes a report: what was left out, and what the cutover sees to.
pub(super) fn say_what_is_left_out(
    report: &mut VerifyReport,
    standing: &Tables,
    selection: &Selection<'_>,
) {
    let lineage = Lineage::of(&standing.moving);
    let covers = |table: &TableName| match selection {
        Selection::All => true,
        Selection::Chosen(chosen) => is_chosen(chosen, &lineage, table),
        Selection::Targets(names) => names.contains(table),
    };
    report.partial = matches!(selection, Selection::Chosen(_));
    report.not_compared.extend(standing.left_behind());
    let compared = |table: &TableName| report.tables.iter().any(|v| v.table == *table);
    let more = standing.beside.columns.iter();
    let more: Vec<String> = more
        .filter(|(table, _)| compared(table))
        .map(|(table, column)| format!("{table}.{column} (only on the other side)"))
        .collect();
    report.not_compared.extend(more);
    let unlogged = standing.moving.iter();
    let unlogged = unlogged.filter(|table| table.unlogged && table.data && covers(&table.name));
    report
        .at_cutover
        .extend(unlogged.map(|table| format!("{} (unlogged)", table.name)));
    if matches!(selection, Selection::All) {
        let unstreamed = ["sequences", "large objects"];
        report.at_cutover.extend(unstreamed.map(str::to_owned));
    }
}
