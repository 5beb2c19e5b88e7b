//! `[validation]`, turned into how validation works.

use trunkline_changes::TableName;
use trunkline_load::Scope;
use trunkline_migration::Error;
use trunkline_migration::plan::{PART_BYTES, Share, ValidationPlan};

use super::{plan_error, size};
use crate::plan_file::ValidationTable;

/// Tables that are read at the same time: a session on either side each.
const JOBS: usize = 2;

pub(super) fn plan(table: &ValidationTable) -> Result<ValidationPlan, Error> {
    let jobs = table.jobs.unwrap_or(JOBS);
    if !(1..=64).contains(&jobs) {
        return Err(plan_error(
            format!("`jobs = {jobs}` in [validation]"),
            "from 1 to 64 tables can be read at the same time",
        ));
    }
    let left_out = match table.exclude.as_slice() {
        [] => None,
        patterns => Some((patterns.to_vec(), Scope::from_patterns(patterns, &[])?)),
    };
    let columns = table.exclude_columns.iter().map(|text| column(text));
    Ok(ValidationPlan {
        jobs,
        share: share(table.source_share.as_deref())?,
        continuous: table.continuous.unwrap_or(true),
        part_bytes: size("part_size", table.part_size.as_deref(), PART_BYTES)?,
        left_out,
        columns_left_out: columns.collect::<Result<_, _>>()?,
    })
}

/// A percentage such as `25%`.
pub(crate) fn percent(text: &str) -> Option<f64> {
    text.trim().strip_suffix('%')?.trim().parse().ok()
}

fn share(text: Option<&str>) -> Result<Share, Error> {
    let Some(text) = text else {
        return Ok(Share::UNLIMITED);
    };
    percent(text).and_then(Share::from_percent).ok_or_else(|| {
        plan_error(
            format!("`source_share = \"{text}\"` is not a share"),
            "write it as a percentage of one session's time, such as \"25%\"",
        )
    })
}

/// `schema.table.column`; names that hold dots cannot be written so.
fn column(text: &str) -> Result<(TableName, String), Error> {
    match text.split('.').collect::<Vec<_>>().as_slice() {
        [schema, table, column] if ![schema, table, column].iter().any(|n| n.is_empty()) => {
            Ok((TableName::new(*schema, *table), (*column).to_owned()))
        }
        _ => Err(plan_error(
            format!("`exclude_columns` has \"{text}\""),
            "write schema.table.column",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_above_nothing() {
        assert!(share(Some("25%")).is_ok());
        assert!(share(Some("0%")).is_err());
        assert!(share(Some("a quarter")).is_err());
    }

    #[test]
    fn a_column_is_named_with_its_table() {
        let (table, name) = column("public.t.c").expect("a column");
        assert_eq!((table, name.as_str()), (TableName::new("public", "t"), "c"));
        assert!(column("t.c").is_err());
    }
}
