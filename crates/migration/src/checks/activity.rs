//! What runs on the source right now and would hold up the slot or the fence.

use std::time::Duration;

use trunkline_changes::{Side, quote_literal};
use trunkline_postgres::{PgError, Session};

use super::finding::{Finding, all_on};
use super::limits::LONG_TRANSACTION;
use super::listing::{each, joined};
use super::report::counted;
use super::role;

#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub pid: i32,
    pub user: String,
    pub database: String,
    pub state: String,
    /// `None` when our role may not see it.
    pub age: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub gid: String,
    pub owner: String,
    pub database: String,
    pub age: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub transactions: Vec<Transaction>,
    pub prepared: Vec<Prepared>,
    pub superuser_sessions: i64,
    pub superusers: Vec<String>,
}

pub(super) async fn read(session: &mut Session) -> Result<Facts, PgError> {
    let mut facts = Facts::default();
    for row in session
        .query(include_str!("sql/transactions.sql"), &[])
        .await?
    {
        facts.transactions.push(Transaction {
            pid: row.get(0)?,
            user: row.get(1)?,
            database: row.get(2)?,
            state: row.get(3)?,
            age: row.get::<Option<i64>>(4)?.map(seconds),
        });
    }
    for row in session.query(include_str!("sql/prepared.sql"), &[]).await? {
        facts.prepared.push(Prepared {
            gid: row.get(0)?,
            owner: row.get(1)?,
            database: row.get(2)?,
            age: seconds(row.get(3)?),
        });
    }
    let row = session
        .query_one(include_str!("sql/superuser_sessions.sql"), &[])
        .await?;
    facts.superuser_sessions = row.get(0)?;
    facts.superusers = row.get(1)?;
    Ok(facts)
}

/// Ages by two clocks can be negative by a little.
fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

pub(super) fn judge(facts: &Facts, role: &role::Facts) -> Vec<Finding> {
    let long = facts.transactions.iter().filter_map(|transaction| {
        Some((
            transaction,
            transaction.age.filter(|age| *age >= LONG_TRANSACTION)?,
        ))
    });
    let mut findings = each(long, |(transaction, age)| {
        let Transaction {
            pid,
            user,
            database,
            state,
            ..
        } = transaction;
        let message = format!(
            "a transaction of {user} in {database} is open since {} ({state}): the making of the slot waits for its \
             end",
            readable(age)
        );
        Finding::warning("long-transaction", message)
            .about(format!("pid {pid}"))
            .mend(format!(
                "SELECT pg_terminate_backend({pid}); -- if it may be lost"
            ))
    });
    findings.extend(each(&facts.prepared, |prepared| {
        let Prepared { gid, owner, database, age } = prepared;
        let message = format!(
            "a transaction prepared by {owner} in {database} waits for its second phase since {}: the making of the \
             slot and the cutover wait for it",
            readable(*age)
        );
        let gid_literal = quote_literal(gid);
        Finding::warning("prepared-transaction", message)
            .about(gid)
            .mend(format!("COMMIT PREPARED {gid_literal}; -- or ROLLBACK PREPARED {gid_literal};"))
    }));
    if facts.superuser_sessions > 0 && !role.superuser {
        let message = format!(
            "{} of superusers ({}) in the database: our role cannot end them at the cutover, and the \
             fence waits for them",
            counted(
                usize::try_from(facts.superuser_sessions).unwrap_or(usize::MAX),
                "session"
            ),
            joined(&facts.superusers)
        );
        findings.push(Finding::warning("superuser-sessions", message));
    }
    all_on(findings, Side::Source)
}

/// A duration to the two largest units.
pub(super) fn readable(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::super::role;
    use super::{Facts, Prepared, Transaction, judge, readable};
    use std::time::Duration;

    fn transaction(age: Option<u64>) -> Transaction {
        Transaction {
            pid: 42,
            user: "report".to_owned(),
            database: "app".to_owned(),
            state: "idle in transaction".to_owned(),
            age: age.map(Duration::from_secs),
        }
    }

    #[test]
    fn only_what_runs_for_long_is_named() {
        let facts = Facts {
            transactions: vec![
                transaction(Some(7_260)),
                transaction(Some(5)),
                transaction(None),
            ],
            ..Facts::default()
        };
        let findings = judge(&facts, &role::example());
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].message.contains("2 h 1 min"),
            "{}",
            findings[0].message
        );
    }

    #[test]
    fn every_prepared_transaction_and_superusers_sessions_are_named() {
        let prepared = Prepared {
            gid: "it's".to_owned(),
            owner: "app".to_owned(),
            database: "app".to_owned(),
            age: Duration::from_secs(1),
        };
        let mut facts = Facts {
            prepared: vec![prepared],
            superuser_sessions: 1,
            ..Facts::default()
        };
        facts.superusers = vec!["postgres".to_owned()];
        let findings = judge(&facts, &role::example());
        assert_eq!(findings[0].code, "prepared-transaction");
        assert!(
            findings[0]
                .remedy
                .as_deref()
                .is_some_and(|sql| sql.starts_with("COMMIT PREPARED 'it''s';"))
        );
        assert_eq!(findings[1].code, "superuser-sessions");
    }

    #[test]
    fn durations_read_well() {
        let of = |seconds| readable(Duration::from_secs(seconds));
        assert_eq!(
            [of(3), of(61), of(3_660), of(90_000)],
            ["3 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]
        );
    }
}
