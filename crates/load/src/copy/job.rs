//! What is to be copied, and where to: pure, from the catalogs of both sides and the
//! ledger.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use trunkline_changes::{Pool, TableName, quote_ident};

use crate::catalog::{Table, TableKind};
use crate::chunks::{Bounds, Cut, Plan, SplitSizes, plan};
use crate::error::LoadError;
use crate::format::{self, CopyFormat};
use crate::ledger::{Ledger, Recorded};
use crate::limits::{TOGETHER_BYTES, WIDE_FROM_BYTES};
use crate::progress::TableProgress;
use crate::target_map::places;
use crate::transform::Layout;

/// One table to copy. Of very many tables the jobs are much: what is alike is there once, and
/// what few have takes no room in the others.
#[derive(Debug)]
pub(crate) struct CopyJob {
    /// The target's table, where it bears another name.
    target: Option<Box<TableName>>,
    /// The target's table takes rows of this table only: it may be emptied.
    pub(crate) alone: bool,
    /// The ledger knew nothing of it when the copy began; until the first try.
    unrecorded: AtomicBool,
    columns: Arc<Columns>,
    special: Option<Box<Special>>,
    pub(crate) progress: Arc<TableProgress>,
}

/// Which columns are copied, and how.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Columns {
    format: CopyFormat,
    /// By the source's names, as SQL's list of them.
    source: Box<str>,
    /// The same by the target's.
    target: Box<str>,
}

/// What is not so of a small table that goes whole and was not begun.
#[derive(Debug, PartialEq, Eq)]
struct Special {
    /// For an extension's table: which rows.
    condition: Option<Box<str>>,
    /// Which rows the plan moves.
    filter: Option<String>,
    /// Where much of it is out of line: each stored column's name on the source and on the
    /// target.
    wide: Vec<(String, String)>,
    plan: Plan,
    /// What the ledger held when the copy began.
    recorded: Vec<Recorded>,
}

/// A small table that goes whole and was not begun.
static NOTHING_SPECIAL: Special = Special {
    condition: None,
    filter: None,
    wide: Vec::new(),
    plan: Plan::Whole,
    recorded: Vec::new(),
};

/// What jobs are made from.
pub(crate) struct Preparation<'a> {
    pub(crate) source: &'a [Table],
    pub(crate) target: &'a [Table],
    pub(crate) layout: &'a Layout,
    pub(crate) sizes: SplitSizes,
    pub(crate) page_ranges: bool,
    /// Whether unlogged tables are among them.
    pub(crate) unlogged: bool,
}

/// A job for every table whose rows are moved, the largest first; those that the ledger
/// shows as done are among them.
pub(crate) fn jobs(by: &Preparation<'_>, mut ledger: Ledger) -> Result<Vec<CopyJob>, LoadError> {
    let standing: HashMap<&TableName, &Table> =
        by.target.iter().map(|table| (&table.name, table)).collect();
    let there = |table| Some(by.layout.place(table));
    let map = places(by.source, standing.keys().copied(), there);
    let mut shared: HashMap<&TableName, usize> = HashMap::new();
    let holds_rows = |table: &&Table| {
        table.kind == TableKind::Ordinary && table.data && (by.unlogged || !table.unlogged)
    };
    for table in by.source.iter().filter(holds_rows) {
        if let Some(&place) = map.get(&table.name) {
            *shared.entry(place).or_default() += 1;
        }
    }
    let mut jobs = Vec::with_capacity(by.source.iter().filter(holds_rows).count());
    let mut lists = Pool::default();
    for table in by.source.iter().filter(holds_rows) {
        let missing = || LoadError::MissingTable {
            table: table.name.clone(),
        };
        let place = *map.get(&table.name).ok_or_else(missing)?;
        let target = standing.get(place).ok_or_else(missing)?;
        let alone = shared.get(place) == Some(&1)
            && target.kind == TableKind::Ordinary
            && table.origin.extension_condition.is_none();
        let recorded = ledger.remove(&table.name).unwrap_or_default();
        jobs.push(job(table, target, alone, by, recorded, &mut lists)?);
    }
    // Without the room that a sort would take which leaves equal ones as they were.
    jobs.sort_unstable_by(|one, other| {
        (other.bytes(), one.name()).cmp(&(one.bytes(), other.name()))
    });
    Ok(jobs)
}

fn job(
    table: &Table,
    target: &Table,
    alone: bool,
    by: &Preparation<'_>,
    recorded: Vec<Recorded>,
    lists: &mut Pool<Columns>,
) -> Result<CopyJob, LoadError> {
    let by_name: HashMap<&str, &crate::catalog::TableColumn> = target
        .stored_columns()
        .map(|column| (column.name.as_str(), column))
        .collect();
    let map = by.layout.columns(&table.name);
    let (mut pairs, mut target_columns) = (Vec::new(), Vec::new());
    for column in table.stored_columns() {
        let Some(name) = map.there(&column.name) else {
            continue;
        };
        let counterpart = by_name.get(name).copied();
        if counterpart.is_none() {
            return Err(LoadError::MissingColumn {
                table: target.name.clone(),
                column: name.to_owned(),
            });
        }
        target_columns.push(name);
        pairs.push((column, counterpart));
    }
    let wide = table.toast_bytes >= WIDE_FROM_BYTES;
    let named = pairs.iter().zip(&target_columns).filter(|_| wide);
    let wide = named.map(|((column, _), to)| (column.name.to_string(), (*to).to_owned()));
    let wide: Vec<_> = wide.collect();
    let columns = column_list(pairs.iter().map(|(column, _)| column.name.as_str()));
    let target_columns = column_list(target_columns.into_iter());
    let columns = Columns {
        format: format::choose(pairs),
        source: columns.into(),
        target: target_columns.into(),
    };
    let unrecorded = AtomicBool::new(recorded.is_empty());
    let special = Special {
        condition: table.origin.extension_condition.clone(),
        filter: by.layout.condition(&table.name).map(str::to_owned),
        wide,
        plan: plan(table, &by.sizes, alone, by.page_ranges),
        recorded,
    };
    Ok(CopyJob {
        target: (target.name != table.name).then(|| Box::new(target.name.clone())),
        alone,
        unrecorded,
        columns: lists.share(columns),
        special: (special != NOTHING_SPECIAL).then(|| Box::new(special)),
        progress: Arc::new(TableProgress::new(
            table.name.clone(),
            table.bytes(),
            table.estimated_rows,
        )),
    })
}

/// `"a", "b"`.
fn column_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quote_ident).collect::<Vec<_>>().join(", ")
}

impl CopyJob {
    /// The source's table.
    pub(crate) fn name(&self) -> &TableName {
        &self.progress.name
    }

    /// The target's table.
    pub(crate) fn target(&self) -> &TableName {
        self.target.as_deref().unwrap_or(self.name())
    }

    /// Heap and TOAST on the source.
    pub(crate) fn bytes(&self) -> u64 {
        self.progress.expected_bytes
    }

    /// How it is cut.
    pub(crate) fn plan(&self) -> &Plan {
        &self.special().plan
    }

    /// What the ledger held when the copy began.
    pub(crate) fn recorded(&self) -> &[Recorded] {
        &self.special().recorded
    }

    /// Where much of it is out of line: each stored column's name on the source and on the
    /// target.
    pub(crate) fn wide(&self) -> &[(String, String)] {
        &self.special().wide
    }

    fn special(&self) -> &Special {
        self.special.as_deref().unwrap_or(&NOTHING_SPECIAL)
    }

    /// Whether it is copied together with others of its kind: small, and not begun.
    pub(crate) fn goes_together(&self) -> bool {
        let whole = self.alone && *self.plan() == Plan::Whole;
        whole && self.recorded().is_empty() && self.bytes() <= TOGETHER_BYTES
    }

    /// Whether every part is in.
    pub(crate) fn is_copied(&self) -> bool {
        !self.recorded().is_empty() && self.recorded().iter().all(|part| part.copied)
    }

    /// Whether the ledger holds nothing of it: only we write there, so it need not be asked
    /// again before the first try. True once at most: after a try it may hold something.
    pub(crate) fn take_unrecorded(&self) -> bool {
        self.unrecorded.swap(false, Ordering::Relaxed)
    }

    /// `COPY … TO STDOUT` for a part.
    pub(crate) fn out_sql(&self, cut: &Cut, bounds: Bounds) -> String {
        let table = self.name().quoted();
        let format = self.columns.format.sql();
        let bounded = match (cut, &self.special().condition) {
            (_, Some(condition)) => Some(condition.to_string()),
            (Cut::Whole, None) => None,
            (Cut::Pages, None) => Some(within("ctid", bounds, |page| {
                format!("'({page},0)'::pg_catalog.tid")
            })),
            (Cut::Key(column), None) => Some(within(&quote_ident(column), bounds, |key| {
                format!("'{key}'::pg_catalog.int8")
            })),
        };
        let filter = match (&bounded, &self.special().filter) {
            (_, None) => bounded,
            (Some(bounded), Some(filter)) if !bounded.is_empty() => {
                Some(format!("{bounded} AND ({filter})"))
            }
            (_, Some(filter)) => Some(format!("WHERE ({filter})")),
        };
        match filter {
            // COPY of a table's name copies that table only, as ONLY would.
            None => format!(
                "COPY {table}{} TO STDOUT (FORMAT {format})",
                in_parentheses(&self.columns.source)
            ),
            Some(filter) => format!(
                "COPY (SELECT {} FROM ONLY {table} {filter}) TO STDOUT (FORMAT {format})",
                self.columns.source
            ),
        }
    }

    /// `COPY … FROM STDIN`. `frozen` writes rows as if they were old; the table must have
    /// been emptied in the same transaction.
    pub(crate) fn in_sql(&self, frozen: bool) -> String {
        let (table, format) = (self.target().quoted(), self.columns.format.sql());
        let frozen = if frozen { ", FREEZE" } else { "" };
        format!(
            "COPY {table}{} FROM STDIN (FORMAT {format}{frozen})",
            in_parentheses(&self.columns.target)
        )
    }
}

/// ` ("a", "b")`, or nothing when there is no column to name.
fn in_parentheses(columns: &str) -> String {
    if columns.is_empty() {
        String::new()
    } else {
        format!(" ({columns})")
    }
}

fn within(column: &str, bounds: Bounds, literal: impl Fn(i64) -> String) -> String {
    let low = bounds
        .low
        .map(|low| format!("{column} >= {}", literal(low)));
    let high = bounds
        .high
        .map(|high| format!("{column} < {}", literal(high)));
    let conditions: Vec<String> = low.into_iter().chain(high).collect();
    if conditions.is_empty() {
        String::new()
    } else {
        format!("WHERE {}", conditions.join(" AND "))
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
