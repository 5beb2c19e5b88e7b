//! The planner's statistics of what was copied, gathered on the target: of a large table when
//! its last index stands, of the rest at the end.

use std::collections::{HashMap, HashSet};

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{OnSide, Session};

use crate::catalog::{self, Parents, Table};
use crate::error::LoadError;
use crate::finish::Task;
use crate::inventory::Inventory;
use crate::limits::{
    ANALYZED_TOGETHER_BYTES, CATALOGS_ANALYZED_FROM, CATALOGS_WAIT, ENTRIES_AT_ONCE,
};
use crate::loader::Loader;
use crate::retrying::retried;
use crate::structure::{ANALYZED, Entry, Record, Stage, key_of, relation_of};
use crate::transform::Layout;

/// What gathers a table's statistics, by its name on the source.
pub(crate) type Analyses = HashMap<TableName, Task>;

/// Tasks of small tables, put together: each commit waits for the disk, and of 200,000
/// tables that would be all that is waited for. Takes each with its bytes.
fn groups(tasks: impl Iterator<Item = (u64, Task)>) -> impl Iterator<Item = Vec<Task>> {
    let mut tasks = tasks.peekable();
    std::iter::from_fn(move || {
        let (mut together, first) = tasks.next()?;
        let mut group = vec![first];
        while group.len() < ENTRIES_AT_ONCE {
            let fits = |(bytes, _): &(u64, Task)| {
                together.saturating_add(*bytes) <= ANALYZED_TOGETHER_BYTES
            };
            let Some((bytes, task)) = tasks.next_if(fits) else {
                break;
            };
            together += bytes;
            group.push(task);
        }
        Some(group)
    })
}

/// Whether its statistics are worth a transaction of their own, as soon as it is built.
pub(crate) fn is_large(table: &Table) -> bool {
    table.bytes() > ANALYZED_TOGETHER_BYTES
}

/// What gathers the statistics of a table or view, recorded under the source's name.
fn analysis(name: &TableName, place: &TableName) -> Task {
    Task {
        label: format!("the statistics of {place}"),
        sql: format!("ANALYZE {};", place.quoted()),
        // An expression of a statistics object may fail, as a function in it may.
        dispensable: true,
        key: key_of(ANALYZED, name),
    }
}

/// Catalogs that grow with the number of tables.
const CATALOGS_SQL: &str = "ANALYZE pg_catalog.pg_attrdef, pg_catalog.pg_attribute, pg_catalog.pg_class, \
     pg_catalog.pg_constraint, pg_catalog.pg_depend, pg_catalog.pg_description, \
     pg_catalog.pg_index, pg_catalog.pg_inherits, pg_catalog.pg_namespace, pg_catalog.pg_sequence, \
     pg_catalog.pg_statistic, pg_catalog.pg_trigger, pg_catalog.pg_type";

impl Loader {
    /// Gathers the statistics of the target's catalogs where many objects were made. Until
    /// autovacuum comes, the server believes that there are few, and who reads the catalogs (a
    /// cutover does) may wait for minutes where it takes a second. A role that may not is warned
    /// by the server, and goes on.
    pub(crate) async fn analyze_catalogs(&self, made: usize) {
        if made < CATALOGS_ANALYZED_FROM {
            return;
        }
        let analyzed = async {
            let mut target = self.connect(Side::Target, "statistics").await?;
            let sql = format!("SET LOCAL lock_timeout = '{CATALOGS_WAIT}'; {CATALOGS_SQL}");
            let done = target.batch(&sql).await;
            target.close().await;
            done.on(Side::Target, "analyzing the catalogs")?;
            Ok::<_, LoadError>(())
        };
        if let Err(error) = analyzed.await {
            tracing::warn!(%error, "the catalogs' statistics are left to autovacuum");
        }
    }

    /// Gathers the statistics that are not there yet: of tables, and of these views.
    pub(crate) async fn analyze(
        &self,
        tables: &[Table],
        views: &[TableName],
        record: &Record,
    ) -> Result<(), LoadError> {
        let standing = retried(&self.cancel, || async {
            let session = Session::connect(&self.target, "statistics").await;
            let mut target = session.on(Side::Target, "connecting (statistics)")?;
            catalog::parents(&mut target, Side::Target).await
        })
        .await?;
        // How large a view is was not asked.
        let views = views.iter().map(|view| (u64::MAX, analysis(view, view)));
        let layout = Layout::new(&self.options.transform, tables, self.options.naming());
        let roots = roots(tables, &layout, &standing, |_| true);
        drop(standing);
        self.progress.analyzed.start(views.len() + roots.len());
        // Made when its turn comes: of very many tables the statements are much.
        let of_table = |table: &Table| {
            let task = analysis(&table.name, layout.place(&table.name));
            (table.bytes(), task)
        };
        let analyses = views.chain(roots.into_iter().map(of_table));
        let left = analyses.filter(|(_, task)| {
            let gathered = record.holds(&task.key);
            if gathered {
                self.progress.analyzed.one_done();
            }
            !gathered
        });
        self.side_by_side(groups(left), "statistics", |progress| {
            progress.analyzed.one_done();
        })
        .await
    }

    /// The statistics of large tables, by the table's name: gathered when its last index
    /// stands, while others are still built.
    pub(crate) fn large_analyses(
        &self,
        inventory: &Inventory,
        standing: &Parents,
        record: &Record,
    ) -> Analyses {
        let (tables, structure) = (&inventory.tables, &inventory.structure);
        // Expressions of statistics objects may read other tables, whose rows may be missing.
        let objects = structure.staged(Stage::Statistics);
        let mut with_objects: HashSet<TableName> = HashSet::new();
        if !objects.is_empty() {
            let by_id = structure.by_id();
            let relations = objects.iter().filter_map(|e| relation_of(e, &by_id));
            with_objects.extend(relations.map(Entry::table_name));
        }
        // A parent's statistics are of its children's rows too, which may still be missing.
        let parents: HashSet<&TableName> = tables.iter().flat_map(|t| &t.origin.inherits).collect();
        let gathered = |table: &Table| {
            is_large(table) && !parents.contains(&table.name) && !with_objects.contains(&table.name)
        };
        let layout = Layout::new(&self.options.transform, tables, self.options.naming());
        let roots = roots(tables, &layout, standing, gathered).into_iter();
        let analyses = roots.map(|table| {
            let task = analysis(&table.name, layout.place(&table.name));
            (table.name.clone(), task)
        });
        analyses
            .filter(|(_, task)| !record.holds(&task.key))
            .collect()
    }
}

/// The wanted tables whose statistics are gathered, the largest first; `standing` is what
/// stands on the target. A partitioned table's statement reaches its partitions too.
fn roots<'t>(
    tables: &'t [Table],
    layout: &Layout,
    standing: &Parents,
    wanted: impl Fn(&Table) -> bool,
) -> Vec<&'t Table> {
    let mut roots: Vec<&Table> = tables
        .iter()
        .filter(|table| wanted(table))
        .filter(|table| {
            let there = standing.get(layout.place(&table.name));
            let within = |parent: &TableName| standing.contains_key(parent);
            there.is_some_and(|parent| !parent.as_deref().is_some_and(within))
        })
        .collect();
    roots.sort_by_key(|table| std::cmp::Reverse(table.bytes()));
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_tables_share_a_transaction() {
        let small = std::iter::repeat_n(8_192, 40);
        let tasks = [5 << 30, 900 << 10].into_iter().chain(small).map(|bytes| {
            let task = Task {
                key: (ANALYZED.into(), "s".into(), bytes.to_string().into(), 0),
                label: String::new(),
                sql: String::new(),
                dispensable: true,
            };
            (bytes, task)
        });
        let sizes: Vec<usize> = groups(tasks).map(|group| group.len()).collect();
        assert_eq!(sizes, [1, 1 + 15, 25]);
    }
}
