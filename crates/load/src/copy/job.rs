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

/// One table to copy. What is the same on both sides is there once: of very many tables the
/// jobs are much.
#[derive(Debug)]
pub(crate) struct CopyJob {
    pub(crate) name: Arc<TableName>,
    pub(crate) target: Arc<TableName>,
    /// The target's table takes rows of this table only: it may be emptied.
    pub(crate) alone: bool,
    pub(crate) format: CopyFormat,
    /// The columns by the source's names, as SQL's list of them.
    columns: Arc<str>,
    /// The same by the target's.
    target_columns: Arc<str>,
    /// For an extension's table: which rows.
    condition: Option<String>,
    /// Which rows the plan moves.
    filter: Option<String>,
    pub(crate) bytes: u64,
    /// Where much of it is out of line: each stored column's name on the source and on the
    /// target.
    pub(crate) wide: Box<[(String, String)]>,
    /// The ledger knew nothing of it when the copy began; until the first try.
    unrecorded: AtomicBool,
    pub(crate) plan: Plan,
    /// What the ledger held when the copy began.
    pub(crate) recorded: Vec<Recorded>,
    pub(crate) progress: Arc<TableProgress>,
}

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
            && table.extension_condition.is_none();
        let recorded = ledger.remove(&table.name).unwrap_or_default();
        jobs.push(job(table, target, alone, by, recorded, &mut lists)?);
    }
    // Without the room that a sort would take which leaves equal ones as they were.
    jobs.sort_unstable_by(|one, other| (other.bytes, &one.name).cmp(&(one.bytes, &other.name)));
    Ok(jobs)
}

fn job(
    table: &Table,
    target: &Table,
    alone: bool,
    by: &Preparation<'_>,
    recorded: Vec<Recorded>,
    lists: &mut Pool<str>,
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
    let wide = wide.collect();
    let columns = column_list(pairs.iter().map(|(column, _)| column.name.as_str()));
    let target_columns = column_list(target_columns.into_iter());
    let name = Arc::new(table.name.clone());
    Ok(CopyJob {
        target: if target.name == *name {
            Arc::clone(&name)
        } else {
            Arc::new(target.name.clone())
        },
        alone,
        format: format::choose(pairs),
        target_columns: lists.share(target_columns),
        columns: lists.share(columns),
        condition: table.extension_condition.clone(),
        filter: by.layout.condition(&table.name).map(str::to_owned),
        bytes: table.bytes(),
        wide,
        unrecorded: AtomicBool::new(recorded.is_empty()),
        plan: plan(table, &by.sizes, alone, by.page_ranges),
        recorded,
        progress: Arc::new(TableProgress::new(
            Arc::clone(&name),
            table.bytes(),
            table.estimated_rows,
        )),
        name,
    })
}

/// `"a", "b"`.
fn column_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quote_ident).collect::<Vec<_>>().join(", ")
}

impl CopyJob {
    /// Whether it is copied together with others of its kind: small, and not begun.
    pub(crate) fn goes_together(&self) -> bool {
        let whole = self.alone && self.plan == Plan::Whole;
        whole && self.recorded.is_empty() && self.bytes <= TOGETHER_BYTES
    }

    /// Whether every part is in.
    pub(crate) fn is_copied(&self) -> bool {
        !self.recorded.is_empty() && self.recorded.iter().all(|part| part.copied)
    }

    /// Whether the ledger holds nothing of it: only we write there, so it need not be asked
    /// again before the first try. True once at most: after a try it may hold something.
    pub(crate) fn take_unrecorded(&self) -> bool {
        self.unrecorded.swap(false, Ordering::Relaxed)
    }

    /// `COPY … TO STDOUT` for a part.
    pub(crate) fn out_sql(&self, cut: &Cut, bounds: Bounds) -> String {
        let table = self.name.quoted();
        let format = self.format.sql();
        let bounded = match (cut, &self.condition) {
            (_, Some(condition)) => Some(condition.clone()),
            (Cut::Whole, None) => None,
            (Cut::Pages, None) => Some(within("ctid", bounds, |page| {
                format!("'({page},0)'::pg_catalog.tid")
            })),
            (Cut::Key(column), None) => Some(within(&quote_ident(column), bounds, |key| {
                format!("'{key}'::pg_catalog.int8")
            })),
        };
        let filter = match (&bounded, &self.filter) {
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
                in_parentheses(&self.columns)
            ),
            Some(filter) => format!(
                "COPY (SELECT {} FROM ONLY {table} {filter}) TO STDOUT (FORMAT {format})",
                self.columns
            ),
        }
    }

    /// `COPY … FROM STDIN`. `frozen` writes rows as if they were old; the table must have
    /// been emptied in the same transaction.
    pub(crate) fn in_sql(&self, frozen: bool) -> String {
        let (table, format) = (self.target.quoted(), self.format.sql());
        let frozen = if frozen { ", FREEZE" } else { "" };
        format!(
            "COPY {table}{} FROM STDIN (FORMAT {format}{frozen})",
            in_parentheses(&self.target_columns)
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
mod tests {
    use super::*;
    use crate::catalog::TableColumn;
    use crate::format::ColumnType;
    use crate::transform::{Naming, TableRules, Transform};

    fn table(name: &str, columns: &[&str]) -> Table {
        let mut table = Table::bare(TableName::new("public", name));
        table.columns = columns
            .iter()
            .map(|column| TableColumn {
                name: (*column).into(),
                column_type: Arc::new(ColumnType {
                    schema: "pg_catalog".into(),
                    name: "int4".into(),
                    base: "pg_catalog.int4".into(),
                    portable_binary: true,
                }),
                generated: column.starts_with("gen"),
                identity: None,
                not_null: false,
            })
            .collect();
        table
    }

    fn prepared(source: &[Table], target: &[Table]) -> Result<Vec<CopyJob>, LoadError> {
        laid_out(source, target, &Layout::default())
    }

    fn laid_out(
        source: &[Table],
        target: &[Table],
        layout: &Layout,
    ) -> Result<Vec<CopyJob>, LoadError> {
        let by = Preparation {
            source,
            target,
            layout,
            sizes: SplitSizes::default(),
            page_ranges: true,
            unlogged: true,
        };
        jobs(&by, Ledger::new())
    }

    #[test]
    fn columns_go_by_name_and_generated_ones_stay_out() {
        let source = [table("t", &["b", "gen", "a \"x\""])];
        let target = [table("t", &["a \"x\"", "gen", "b", "extra"])];
        let jobs = prepared(&source, &target).expect("jobs");
        assert_eq!(
            jobs[0].out_sql(&Cut::Whole, Bounds::default()),
            "COPY \"public\".\"t\" (\"b\", \"a \"\"x\"\"\") TO STDOUT (FORMAT binary)"
        );
        assert_eq!(
            jobs[0].in_sql(false),
            "COPY \"public\".\"t\" (\"b\", \"a \"\"x\"\"\") FROM STDIN (FORMAT binary)"
        );
        let pages = Bounds {
            low: Some(10),
            high: Some(20),
        };
        assert_eq!(
            jobs[0].out_sql(&Cut::Pages, pages),
            "COPY (SELECT \"b\", \"a \"\"x\"\"\" FROM ONLY \"public\".\"t\" WHERE ctid >= '(10,0)'::pg_catalog.tid \
             AND ctid < '(20,0)'::pg_catalog.tid) TO STDOUT (FORMAT binary)"
        );
    }

    #[test]
    fn a_transformed_table_goes_to_its_place_without_what_stays_behind() {
        let mut transform = Transform::none();
        let rules = TableRules {
            to: Some(TableName::new("app", "u")),
            leave_out: vec!["secret".to_owned()],
            rename_columns: [("a".to_owned(), "b".to_owned())].into(),
            condition: Some("id < 9 OR id > 99".to_owned()),
        };
        transform.add_table(&TableName::new("public", "t"), rules);
        let source = [table("t", &["id", "a", "secret"])];
        transform.refuse_unfit(&source).expect("it fits");
        let layout = Layout::new(&transform, &source, Naming::Final);
        let mut target = [table("u", &["b", "id"])];
        target[0].name.schema = "app".into();
        let jobs = laid_out(&source, &target, &layout).expect("jobs");
        assert_eq!(
            jobs[0].out_sql(&Cut::Whole, Bounds::default()),
            "COPY (SELECT \"id\", \"a\" FROM ONLY \"public\".\"t\" WHERE (id < 9 OR id > 99)) \
             TO STDOUT (FORMAT binary)"
        );
        let keys = Bounds {
            low: Some(5),
            high: None,
        };
        let ranged = jobs[0].out_sql(&Cut::Key("id".to_owned()), keys);
        assert!(
            ranged.contains("WHERE \"id\" >= '5'::pg_catalog.int8 AND (id < 9 OR id > 99)"),
            "{ranged}"
        );
        assert_eq!(
            jobs[0].in_sql(false),
            "COPY \"app\".\"u\" (\"id\", \"b\") FROM STDIN (FORMAT binary)"
        );
    }

    #[test]
    fn a_missing_table_or_column_is_refused_before_anything_is_copied() {
        let source = [table("t", &["a"])];
        assert!(matches!(
            prepared(&source, &[]),
            Err(LoadError::MissingTable { .. })
        ));
        let target = [table("t", &["b"])];
        assert!(matches!(
            prepared(&source, &target),
            Err(LoadError::MissingColumn { .. })
        ));
        let generated_there = [{
            let mut t = table("t", &["a"]);
            let mut column = t.columns[0].clone();
            column.generated = true;
            t.columns = [column].into();
            t
        }];
        assert!(matches!(
            prepared(&source, &generated_there),
            Err(LoadError::MissingColumn { .. })
        ));
    }

    #[test]
    fn leaves_that_share_a_place_never_empty_it() {
        let mut leaves = [table("p", &["a"]), table("p1", &["a"]), table("p2", &["a"])];
        leaves[0].kind = TableKind::Partitioned;
        for leaf in &mut leaves[1..] {
            leaf.partition_of = Some(TableName::new("public", "p"));
        }
        let jobs = prepared(&leaves, &[table("p", &["a"])]).expect("jobs");
        assert_eq!(jobs.len(), 2);
        assert!(jobs.iter().all(|job| !job.alone && job.target.name == "p"));
    }
}
