//! How long the busiest statements take, before the move and after it. Read from
//! `pg_stat_statements` where that is installed; where it is not, nothing is known and nothing
//! is missed. Holds always: a statement is matched by its whole text, not by what is shown.

#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trunkline_changes::Side;
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};

use crate::limits::{BUSIEST_STATEMENTS, STATEMENTS_READ};

/// The statements that took the most time together, the busiest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Each of them.
    pub statements: Vec<StatementTime>,
}

/// What one statement took, since the server began to count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatementTime {
    /// The server's number for it, in decimal digits; it differs between versions.
    pub queryid: String,
    /// How often it was run.
    pub calls: u64,
    /// Milliseconds on average.
    pub mean_ms: f64,
    /// Its beginning, with white space made one blank.
    pub text: String,
    /// A hash of its whole text, made independent of how a version numbers parameters.
    pub fingerprint: String,
}

impl StatementTime {
    fn total_ms(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a time for people")]
        let calls = self.calls as f64;
        self.mean_ms * calls
    }
}

/// How many statements are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those that a report shows.
    Busiest,
    /// As many as can be looked through for those of another baseline: on a server that was
    /// just filled, our own work is busier than the application.
    All,
}

/// The busiest statements of the session's database, without Trunkline's own. `None` where
/// `pg_stat_statements` is not installed, not loaded, or not ours to read.
pub(crate) async fn busiest(
    session: &mut Session,
    side: Side,
    reach: Reach,
) -> Result<Option<Baseline>, Fault> {
    let doing = "reading pg_stat_statements";
    match read(session, reach).await {
        Err(error) if is_not_there(&error) => Ok(None),
        read => read.on(side, doing),
    }
}

/// The module is not in `shared_preload_libraries`, may not be read, or went away meanwhile.
fn is_not_there(error: &PgError) -> bool {
    let state = error.sqlstate().map_or("", |state| state.as_str());
    ["55000", "42501", "42P01", "42703"].contains(&state)
}

async fn read(session: &mut Session, reach: Reach) -> Result<Option<Baseline>, PgError> {
    let view = session
        .query_opt(include_str!("sql/statements_view.sql"), &[])
        .await?;
    let Some(view) = view else { return Ok(None) };
    let total = if view.get(1)? {
        "total_exec_time"
    } else {
        "total_time"
    };
    let sql = include_str!("sql/statements.sql")
        .replace("{view}", &view.get::<String>(0)?)
        .replace("{total}", total);
    let limit = match reach {
        Reach::Busiest => BUSIEST_STATEMENTS,
        Reach::All => STATEMENTS_READ,
    };
    let rows = session.query(&sql, &[&limit]).await?;
    let statements: Result<Vec<StatementTime>, PgError> = rows.iter().map(statement).collect();
    Ok(Some(Baseline {
        statements: statements?,
    }))
}

fn statement(row: &DataRow) -> Result<StatementTime, PgError> {
    let calls: u64 = row.get(1)?;
    let total_ms: f64 = row.get(2)?;
    let whole: String = row.get(3)?;
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    let mean_ms = total_ms / calls.max(1) as f64;
    Ok(StatementTime {
        queryid: row.get(0)?,
        calls,
        mean_ms,
        text: text::shown(&whole),
        fingerprint: text::fingerprint(&whole),
    })
}

impl Baseline {
    /// What was run between an earlier look at the same server and this one. A server that
    /// began to count anew in between is taken as it is.
    #[must_use]
    pub fn since(&self, earlier: &Baseline) -> Baseline {
        let before = by_fingerprint(earlier);
        let grown = by_fingerprint(self).into_values().filter_map(|now| {
            let Some(then) = before.get(&now.fingerprint) else {
                return Some(now);
            };
            let calls = match now.calls.checked_sub(then.calls) {
                None => return Some(now),
                Some(0) => return None,
                Some(calls) => calls,
            };
            #[expect(clippy::cast_precision_loss, reason = "a time for people")]
            let mean_ms = (now.total_ms() - then.total_ms()).max(0.0) / calls as f64;
            Some(StatementTime {
                calls,
                mean_ms,
                ..now
            })
        });
        let mut statements: Vec<StatementTime> = grown.collect();
        statements.sort_by(|a, b| b.total_ms().total_cmp(&a.total_ms()));
        Baseline { statements }
    }
}

/// One statement before the move and after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Its beginning.
    pub text: String,
    /// How often it was run before.
    pub calls_before: u64,
    /// Milliseconds on average before.
    pub mean_ms_before: f64,
    /// How often it was run after; 0 if it was not seen yet.
    pub calls_after: u64,
    /// Milliseconds on average after; none if it was not seen yet.
    pub mean_ms_after: Option<f64>,
    /// After as a multiple of before; above 1 it became slower.
    pub ratio: Option<f64>,
}

/// The busiest statements of `before`, each with what it takes in `after`.
pub fn compare(before: &Baseline, after: &Baseline) -> Vec<Latency> {
    let seen = by_fingerprint(after);
    let mut statements: Vec<StatementTime> = by_fingerprint(before).into_values().collect();
    statements.sort_by(|a, b| b.total_ms().total_cmp(&a.total_ms()));
    let latency = |before: StatementTime| {
        let after = seen.get(&before.fingerprint);
        let mean_ms_after = after.map(|after| after.mean_ms);
        let ratio = mean_ms_after
            .filter(|_| before.mean_ms > 0.0)
            .map(|after| after / before.mean_ms);
        Latency {
            calls_before: before.calls,
            mean_ms_before: before.mean_ms,
            calls_after: after.map_or(0, |after| after.calls),
            mean_ms_after,
            ratio,
            text: before.text,
        }
    };
    statements.into_iter().map(latency).collect()
}

/// Statements that a server counts apart (by role, by schema path) and whose text is the same
/// are one.
fn by_fingerprint(baseline: &Baseline) -> BTreeMap<String, StatementTime> {
    let mut merged: BTreeMap<String, StatementTime> = BTreeMap::new();
    for statement in &baseline.statements {
        let known = merged.get(&statement.fingerprint);
        let sum = known.map_or_else(
            || statement.clone(),
            |known| {
                let calls = known.calls + statement.calls;
                #[expect(clippy::cast_precision_loss, reason = "a time for people")]
                let mean_ms = (known.total_ms() + statement.total_ms()) / calls.max(1) as f64;
                StatementTime {
                    calls,
                    mean_ms,
                    ..known.clone()
                }
            },
        );
        merged.insert(statement.fingerprint.clone(), sum);
    }
    merged
}
