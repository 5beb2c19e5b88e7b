//! What was validated, on the target: a table's state, where its reading goes on, and the
//! rows that differ. Holds always: a part and what it found are recorded in one transaction,
//! so that whoever goes on after a crash neither skips a part nor counts one twice.

use std::collections::HashSet;

use serde_json::{Map, Value};
use smol_str::SmolStr;
use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::{DataRow, OnSide, PgError, Session, ToParam};
use trunkline_verify::{PartReport, RowDifference};

use super::changed::Key;
use super::table::{TableValidation, ValidationState};
use crate::error::Error;
use crate::limits::OTHERS_FORGOTTEN_AT_ONCE;

pub(super) const DOING: &str = "recording what was validated";

/// Which migration's, and which leg's.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) migration: String,
    pub(crate) leg: u32,
}

/// A table that is to be validated.
pub(crate) struct Expected {
    pub(crate) table: TableName,
    /// Rows, about.
    pub(crate) rows: u64,
    /// Which columns are compared, and by which key.
    pub(crate) compared: String,
}

/// What is recorded of a part.
pub(crate) struct PartEnd<'a> {
    /// Where the table's reading goes on; nowhere when this was the last part.
    pub(crate) above: Option<&'a str>,
    pub(crate) report: &'a PartReport,
}

impl Ledger {
    /// Makes the tables, and sets down what is to be validated.
    pub(crate) async fn expect(
        &self,
        session: &mut Session,
        tables: &[Expected],
    ) -> Result<(), Error> {
        let make = include_str!("../sql/validation/schema.sql");
        session.batch(make).await.on(Side::Target, DOING)?;
        self.forget_others(session, tables)
            .await
            .on(Side::Target, DOING)?;
        let column =
            |of: fn(&Expected) -> String| -> Vec<String> { tables.iter().map(of).collect() };
        let schemas = column(|expected| expected.table.schema.to_string());
        let names = column(|expected| expected.table.name.to_string());
        let rows = column(|expected| expected.rows.to_string());
        let compared = column(|expected| expected.compared.clone());
        let expect = include_str!("../sql/validation/expect.sql");
        session
            .execute(
                expect,
                &[
                    &self.migration,
                    &self.leg,
                    &schemas,
                    &names,
                    &rows,
                    &compared,
                ],
            )
            .await
            .on(Side::Target, DOING)?;
        Ok(())
    }

    /// Forgets what was to be validated and is not any more. Which these are is not left to a
    /// join: of a table that has no statistics yet the server expects one row, and goes through all
    /// for each.
    async fn forget_others(
        &self,
        session: &mut Session,
        tables: &[Expected],
    ) -> Result<(), PgError> {
        let asked: HashSet<&TableName> = tables.iter().map(|asked| &asked.table).collect();
        let mut others: Vec<String> = Vec::new();
        let sql = "SELECT table_schema, table_name, ctid::text FROM trunkline.validation \
                   WHERE migration = $1 AND leg = $2::int";
        let take = |row: DataRow| {
            if !asked.contains(&row.table_name(0, 1)?) {
                others.push(row.get(2)?);
            }
            Ok(())
        };
        let params: &[&dyn ToParam] = &[&self.migration, &self.leg];
        session.query_each(sql, params, take).await?;
        // A row of another place by now is met the next time.
        let sql = "DELETE FROM trunkline.validation \
                   WHERE ctid = ANY ($3::tid[]) AND migration = $1 AND leg = $2::int";
        for some in others.chunks(OTHERS_FORGOTTEN_AT_ONCE) {
            let some = some.to_vec();
            let params: &[&dyn ToParam] = &[&self.migration, &self.leg, &some];
            session.execute(sql, params).await?;
        }
        Ok(())
    }

    /// What is known of every table; nothing before the first validation.
    pub(crate) async fn read(&self, session: &mut Session) -> Result<Vec<TableValidation>, Error> {
        let doing = "reading what was validated";
        let sql = include_str!("../sql/validation/status.sql");
        let rows = session.query(sql, &[&self.migration, &self.leg]).await;
        let rows = match rows {
            // 42P01: a migration that was begun before there was such a table.
            Err(error) if error.sqlstate().is_some_and(|s| s.as_str() == "42P01") => {
                return Ok(Vec::new());
            }
            rows => rows.on(Side::Target, doing)?,
        };
        let tables: Result<Vec<_>, PgError> = rows.iter().map(TableValidation::read).collect();
        Ok(tables.on(Side::Target, doing)?)
    }

    /// A reading of a table begins anew.
    pub(crate) async fn begin(
        &self,
        session: &mut Session,
        table: &TableName,
    ) -> Result<(), Error> {
        let (schema, name) = (&table.schema, &table.name);
        let done = async {
            session.batch("BEGIN").await?;
            self.forget(session, table, None).await?;
            session
                .execute(
                    "UPDATE trunkline.validation SET state = 'running', above = NULL, \
                     rows_compared = 0, rows_rechecked = 0, rows_differing = 0, rows_busy = 0, \
                     source_seconds = 0, note = NULL, began_at = clock_timestamp(), \
                     updated_at = clock_timestamp() \
                     WHERE migration = $1 AND leg = $2::int AND table_schema = $3 \
                     AND table_name = $4",
                    &[&self.migration, &self.leg, schema, name],
                )
                .await?;
            session.batch("COMMIT").await
        };
        done.await.on(Side::Target, DOING)?;
        Ok(())
    }

    /// A part of a reading was compared.
    pub(crate) async fn part(
        &self,
        session: &mut Session,
        table: &TableName,
        end: PartEnd<'_>,
    ) -> Result<(), Error> {
        let PartEnd { above, report } = end;
        let done = async {
            session.batch("BEGIN").await?;
            session
                .execute(
                    include_str!("../sql/validation/part.sql"),
                    &[
                        &self.migration,
                        &self.leg,
                        &table.schema,
                        &table.name,
                        &above,
                        &report.rows,
                        &report.counts.total(),
                        &report.busy,
                        &report.source_time.as_secs_f64(),
                        &report.position,
                    ],
                )
                .await?;
            self.name(session, table, &report.named, report.position)
                .await?;
            session.batch("COMMIT").await
        };
        done.await.on(Side::Target, DOING)?;
        Ok(())
    }

    /// The last part of a reading was compared: the parts together say how it came out.
    pub(crate) async fn close(
        &self,
        session: &mut Session,
        table: &TableName,
        has_key: bool,
    ) -> Result<(), Error> {
        let busy = if has_key {
            ValidationState::Busy
        } else {
            ValidationState::NoKey
        };
        session
            .execute(
                "UPDATE trunkline.validation SET rounds = rounds + 1, \
                 state = CASE WHEN rows_differing > 0 OR EXISTS (\
                 SELECT FROM trunkline.validation_failures f WHERE f.migration = $1 \
                 AND f.leg = $2::int AND f.table_schema = $3 AND f.table_name = $4) \
                 THEN 'differing' \
                 WHEN rows_busy > 0 THEN $5 ELSE 'matched' END \
                 WHERE migration = $1 AND leg = $2::int AND table_schema = $3 \
                 AND table_name = $4",
                &[
                    &self.migration,
                    &self.leg,
                    &table.schema,
                    &table.name,
                    &busy.name(),
                ],
            )
            .await
            .on(Side::Target, DOING)?;
        Ok(())
    }

    /// A reading of a table could not be ended.
    pub(crate) async fn end(
        &self,
        session: &mut Session,
        table: &TableName,
        (state, note): (ValidationState, Option<&str>),
    ) -> Result<(), Error> {
        session
            .execute(
                "UPDATE trunkline.validation SET state = $5, note = $6, above = NULL, \
                 rounds = rounds + 1, updated_at = clock_timestamp() \
                 WHERE migration = $1 AND leg = $2::int AND table_schema = $3 \
                 AND table_name = $4",
                &[
                    &self.migration,
                    &self.leg,
                    &table.schema,
                    &table.name,
                    &state.name(),
                    &note,
                ],
            )
            .await
            .on(Side::Target, DOING)?;
        Ok(())
    }

    /// Rows that had changed were compared again. Of rows that are written to all the time
    /// nothing is known: what was recorded of them stays.
    pub(crate) async fn rechecked(
        &self,
        session: &mut Session,
        table: &TableName,
        keys: (&[SmolStr], &[Key]),
        report: &PartReport,
    ) -> Result<(), Error> {
        let named: Vec<Key> = report.named.iter().filter_map(key_of).collect();
        let known = if report.busy > 0 { &named } else { keys.1 };
        let done = async {
            session.batch("BEGIN").await?;
            // Whoever reads the table records the end of a part meanwhile.
            session
                .query(
                    "SELECT FROM trunkline.validation WHERE migration = $1 \
                     AND leg = $2::int AND table_schema = $3 AND table_name = $4 FOR UPDATE",
                    &[&self.migration, &self.leg, &table.schema, &table.name],
                )
                .await?;
            let gone = self.forget(session, table, Some((keys.0, known))).await?;
            self.name(session, table, &report.named, report.position)
                .await?;
            session
                .execute(
                    include_str!("../sql/validation/rechecked.sql"),
                    &[
                        &self.migration,
                        &self.leg,
                        &table.schema,
                        &table.name,
                        &keys.1.len().to_string(),
                        &report.source_time.as_secs_f64(),
                        &report.position,
                        &gone,
                        &report.counts.total(),
                    ],
                )
                .await?;
            session.batch("COMMIT").await
        };
        done.await.on(Side::Target, DOING)?;
        Ok(())
    }

    /// Takes away what is recorded of a table's rows, or of some of them; gives how many rows
    /// that were.
    async fn forget(
        &self,
        session: &mut Session,
        table: &TableName,
        keys: Option<(&[SmolStr], &[Key])>,
    ) -> Result<u64, PgError> {
        let named: Option<Vec<String>> = keys.map(|(columns, keys)| {
            let columns = columns.iter().map(SmolStr::as_str);
            let key = |key: &Key| key_text(columns.clone().zip(key.iter().map(Some)));
            keys.iter().map(key).collect()
        });
        session
            .execute(
                "DELETE FROM trunkline.validation_failures WHERE migration = $1 \
                 AND leg = $2::int AND table_schema = $3 AND table_name = $4 \
                 AND ($5::text[] IS NULL OR key = ANY ($5::text[]::jsonb[]))",
                &[
                    &self.migration,
                    &self.leg,
                    &table.schema,
                    &table.name,
                    &named,
                ],
            )
            .await
    }

    /// Names rows that differ.
    pub(super) async fn name(
        &self,
        session: &mut Session,
        table: &TableName,
        rows: &[RowDifference],
        position: Option<Lsn>,
    ) -> Result<(), PgError> {
        if rows.is_empty() {
            return Ok(());
        }
        let column = |of: &dyn Fn(&RowDifference) -> Option<String>| -> Vec<Option<String>> {
            rows.iter().map(of).collect()
        };
        let kinds = column(&|row| Some(row.kind.name().to_owned()));
        let keys = column(&|row| {
            let pairs = row
                .key
                .iter()
                .map(|part| (part.column.as_str(), part.value.as_ref()));
            (!row.key.is_empty()).then(|| key_text(pairs))
        });
        let columns = column(&|row| Some(Value::from(row.columns.clone()).to_string()));
        let place = |place: &Option<trunkline_verify::Place>| {
            let place = place.as_ref();
            place.map(|place| format!("{} {}", place.relation, place.ctid))
        };
        let sources = column(&|row| place(&row.source));
        let targets = column(&|row| place(&row.target));
        session
            .execute(
                include_str!("../sql/validation/failures.sql"),
                &[
                    &self.migration,
                    &self.leg,
                    &table.schema,
                    &table.name,
                    &position,
                    &kinds,
                    &keys,
                    &columns,
                    &sources,
                    &targets,
                ],
            )
            .await?;
        Ok(())
    }
}

/// The key's values; none of a row without a key.
fn key_of(row: &RowDifference) -> Option<Key> {
    let values = row.key.iter().map(|part| part.value.clone());
    let values: Option<Key> = values.collect();
    values.filter(|values| !values.is_empty())
}

/// A key as the JSON object that the table holds.
fn key_text<'a>(pairs: impl Iterator<Item = (&'a str, Option<&'a String>)>) -> String {
    let object: Map<String, Value> = pairs
        .map(|(column, value)| (column.to_owned(), value.cloned().into()))
        .collect();
    Value::from(object).to_string()
}
