//! What a comparison of whole tables at one position found, recorded for many tables at once.

use std::collections::HashMap;

use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::{OnSide, PgError, Session};
use trunkline_verify::{Outcome, RowDifference, TableVerdict};

use super::ledger::{DOING, Ledger};
use super::table::ValidationState;
use crate::error::Error;
use crate::limits::SETTLED_AT_ONCE;

impl Ledger {
    /// Tables were compared as a whole at one position; these rows of them differ.
    pub(crate) async fn settled(
        &self,
        session: &mut Session,
        verdicts: &[TableVerdict],
        (rows, position): (&[RowDifference], Lsn),
    ) -> Result<(), Error> {
        let mut differing: HashMap<&TableName, Vec<RowDifference>> = HashMap::new();
        for row in rows {
            differing.entry(&row.table).or_default().push(row.clone());
        }
        for some in verdicts.chunks(SETTLED_AT_ONCE) {
            let done = async {
                session.batch("BEGIN").await?;
                self.settle(session, some, position).await?;
                for verdict in some {
                    if let Some(rows) = differing.get(&verdict.table) {
                        let table = &verdict.table;
                        self.name(session, table, rows, Some(position)).await?;
                    }
                }
                session.batch("COMMIT").await
            };
            done.await.on(Side::Target, DOING)?;
        }
        Ok(())
    }

    async fn settle(
        &self,
        session: &mut Session,
        verdicts: &[TableVerdict],
        position: Lsn,
    ) -> Result<(), PgError> {
        let state = |verdict: &TableVerdict| match verdict.outcome {
            Outcome::Matched => ValidationState::Matched.name(),
            Outcome::Disturbed => ValidationState::Busy.name(),
            _ => ValidationState::Differing.name(),
        };
        let verdicts = verdicts.iter();
        let schemas: Vec<&str> = verdicts.clone().map(|v| v.table.schema.as_str()).collect();
        let names: Vec<&str> = verdicts.clone().map(|v| v.table.name.as_str()).collect();
        let states: Vec<&str> = verdicts.clone().map(state).collect();
        let rows: Vec<u64> = verdicts.clone().map(|v| v.source_rows).collect();
        let differing: Vec<u64> = verdicts.map(|v| v.differing.total()).collect();
        let forget = "DELETE FROM trunkline.validation_failures f \
                      USING unnest($3::text[], $4::text[]) AS t(table_schema, table_name) \
                      WHERE f.migration = $1 AND f.leg = $2::int \
                      AND f.table_schema = t.table_schema AND f.table_name = t.table_name";
        let (migration, leg) = (&self.migration, &self.leg);
        session
            .execute(forget, &[migration, leg, &schemas, &names])
            .await?;
        let settle = include_str!("../sql/validation/settled.sql");
        session
            .execute(
                settle,
                &[
                    migration, leg, &position, &schemas, &names, &states, &rows, &differing,
                ],
            )
            .await?;
        Ok(())
    }
}
