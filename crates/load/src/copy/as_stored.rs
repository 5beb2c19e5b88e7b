//! Values that a server tried to compress in vain (pictures, archives, whatever is encrypted)
//! are kept as they are, and an ordinary copy has the target try it once more: `pglz` goes
//! through the whole of a value before it gives up, at some 60 MB a second, which is more than
//! all else that is done for it. Where the source shows that a column's values are such, the
//! target is told to store them as they are (`SET STORAGE EXTERNAL`) while the rows come, and
//! given its setting back before anything is built on them. They end as they were.

use trunkline_changes::{Side, TableName, quote_ident, quote_literal};
use trunkline_postgres::{OnSide, PgError, Session};

use super::job::CopyJob;
use super::worker::{Copier, Pair};
use crate::error::LoadError;
use crate::ledger;
use crate::limits::{IN_VAIN_BYTES, IN_VAIN_VALUES, SAMPLED_PAGES};

/// Extended columns of a table in the server's own storage, and how many pages it has.
const EXTENDED: &str = include_str!("../sql/extended_columns.sql");

impl Copier {
    /// The target's columns that are to be stored as the source has them; none where the
    /// table is not large, not ours, or shared with others.
    pub(super) async fn in_vain(
        &self,
        source: &mut Session,
        target: &mut Session,
        job: &CopyJob,
    ) -> Result<Vec<String>, LoadError> {
        if !self.ours || !job.alone || job.wide().is_empty() {
            return Ok(Vec::new());
        }
        let doing = format!("looking how values of {} are stored", job.name());
        let found = not_compressed(source, job.name()).await;
        let found = found.on(Side::Source, &doing)?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let standing = extended(target, job.target()).await;
        let standing = standing.on(Side::Target, doing)?;
        let there = |name: &String| job.wide().iter().find(|(from, _)| from == name);
        let to = found.iter().filter_map(there).map(|(_, to)| to.clone());
        let may_be_set = |to: &String| standing.bare && standing.columns.contains(to);
        let columns: Vec<String> = to.filter(may_be_set).collect();
        if !columns.is_empty() {
            tracing::info!(
                table = %job.name(),
                columns = %columns.join(", "),
                "not compressed on the source: the target does not try it either",
            );
        }
        Ok(columns)
    }

    /// Before the parts of a table that several connections load: they cannot share a
    /// transaction, so the ledger holds what is to be given back.
    pub(super) async fn store_as_is(
        &self,
        pair: &mut Pair,
        job: &CopyJob,
    ) -> Result<(), LoadError> {
        let (source, target) = pair.both(self).await?;
        let columns = self.in_vain(source, target, job).await?;
        if columns.is_empty() {
            return Ok(());
        }
        let rows = columns.iter().map(|column| {
            let names = [job.target().schema.as_str(), &job.target().name, column];
            format!("({})", names.map(quote_literal).join(", "))
        });
        let rows: Vec<String> = rows.collect();
        let sql = format!(
            "BEGIN; {}; INSERT INTO trunkline.columns_as_stored VALUES {} ON CONFLICT DO NOTHING; COMMIT",
            storage_sql(job.target(), &columns, "EXTERNAL"),
            rows.join(", "),
        );
        let doing = format!("having {} stored as it is", job.target());
        target.batch(&sql).await.on(Side::Target, doing)?;
        Ok(())
    }
}

impl Copier {
    /// A table's columns, once all its parts are in.
    pub(super) async fn give_storage_back(
        &self,
        pair: &mut Pair,
        job: &CopyJob,
    ) -> Result<(), LoadError> {
        let target = pair.target(self).await?;
        give_storage_back(target, Some(job.target())).await
    }
}

/// Gives columns their storage back that a copy in parts took, of one table or of all. Waits
/// for the target's disk: a crash must not take this back and leave the rows.
pub(crate) async fn give_storage_back(
    target: &mut Session,
    of: Option<&TableName>,
) -> Result<(), LoadError> {
    let sql = "SELECT held.table_schema, held.table_name, array_agg(held.column_name) \
                      FILTER (WHERE a.attname IS NOT NULL) \
                 FROM trunkline.columns_as_stored held \
                 LEFT JOIN pg_attribute a \
                        ON a.attrelid = to_regclass(quote_ident(held.table_schema) || '.' \
                                                    || quote_ident(held.table_name)) \
                       AND a.attname = held.column_name AND NOT a.attisdropped \
                WHERE $1::text IS NULL OR (held.table_schema, held.table_name) = ($1::text, $2::text) \
                GROUP BY 1, 2";
    let doing = "giving columns their storage back";
    // The copy was begun by a program that did not know of it.
    let known = "SELECT to_regclass('trunkline.columns_as_stored') IS NOT NULL";
    let known = target.query_one(known, &[]).await.on(Side::Target, doing)?;
    if !known.get::<bool>(0).on(Side::Target, doing)? {
        let made = target.batch(ledger::TABLES_SQL).await;
        made.on(Side::Target, doing)?;
    }
    let (schema, name) = of.map(|table| (&table.schema, &table.name)).unzip();
    let held = target.query(sql, &[&schema, &name]).await;
    for row in held.on(Side::Target, doing)? {
        let table = row.table_name(0, 1).on(Side::Target, doing)?;
        let columns: Option<Vec<String>> = row.get(2).on(Side::Target, doing)?;
        let set = columns.map(|columns| storage_sql(&table, &columns, "EXTENDED"));
        let forget = format!(
            "DELETE FROM trunkline.columns_as_stored WHERE (table_schema, table_name) = ({}, {})",
            quote_literal(&table.schema),
            quote_literal(&table.name)
        );
        let wait = "SET LOCAL synchronous_commit = on".to_owned();
        let steps: Vec<String> = [Some(wait), set, Some(forget)]
            .into_iter()
            .flatten()
            .collect();
        let sql = format!("BEGIN; {}; COMMIT", steps.join("; "));
        target.batch(&sql).await.on(Side::Target, doing)?;
    }
    Ok(())
}

/// `ALTER TABLE … SET STORAGE …` for some columns.
pub(super) fn storage_sql(table: &TableName, columns: &[String], storage: &str) -> String {
    let set = |column: &String| {
        let column = quote_ident(column);
        format!("ALTER COLUMN {column} SET STORAGE {storage}")
    };
    let set: Vec<String> = columns.iter().map(set).collect();
    format!("ALTER TABLE ONLY {} {}", table.quoted(), set.join(", "))
}

/// Columns of extended storage.
#[derive(Default)]
struct Extended {
    columns: Vec<String>,
    /// Of the table.
    pages: u64,
    /// Whether the session may alter the table, and no index stands on it: an index's columns
    /// would be altered with the table's.
    bare: bool,
}

async fn extended(session: &mut Session, table: &TableName) -> Result<Extended, PgError> {
    let mut found = Extended::default();
    for row in session.query(EXTENDED, &[&table.quoted()]).await? {
        found.columns.push(row.get(0)?);
        (found.pages, found.bare) = (row.get(1)?, row.get(2)?);
    }
    Ok(found)
}

/// Columns whose large values the source keeps as they are, all that a sample of pages shows:
/// a single one that compression made smaller says that trying may be worth it.
async fn not_compressed(source: &mut Session, table: &TableName) -> Result<Vec<String>, PgError> {
    let Extended { columns, pages, .. } = extended(source, table).await?;
    if columns.is_empty() {
        return Ok(columns);
    }
    // Before 14 sizes tell it, where a type's length is known without reading the value: the
    // query gives such columns only.
    let says_how = source.version().major() >= 14;
    // Of a whole table one value says it.
    let enough = if pages <= u64::from(SAMPLED_PAGES) {
        1
    } else {
        IN_VAIN_VALUES
    };
    let shown = columns.iter().map(|column| {
        let column = quote_ident(column);
        let compressed = if says_how {
            format!("pg_column_compression({column}) IS NOT NULL")
        } else {
            format!("pg_column_size({column}) < octet_length({column})")
        };
        format!(
            "count(*) FILTER (WHERE {compressed}) = 0 \
             AND count(*) FILTER (WHERE pg_column_size({column}) >= {IN_VAIN_BYTES}) >= {enough}"
        )
    });
    let shown: Vec<String> = shown.collect();
    let sql = format!(
        "SELECT {} FROM ONLY {} TABLESAMPLE SYSTEM (least(100, {}.0 / {}))",
        shown.join(", "),
        table.quoted(),
        100 * SAMPLED_PAGES,
        pages.max(1)
    );
    let row = source.query_one(&sql, &[]).await?;
    let mut in_vain = Vec::new();
    for (place, column) in columns.into_iter().enumerate() {
        if row.get(place)? {
            in_vain.push(column);
        }
    }
    Ok(in_vain)
}
