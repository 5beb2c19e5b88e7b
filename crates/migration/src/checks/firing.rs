//! Triggers and rules that would fire for every change that is applied on the target.

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_postgres::{PgError, Session};

use super::Scope;
use super::finding::Finding;
use super::listing::each;

#[derive(Clone, Debug)]
pub(super) struct Firing {
    pub table: TableName,
    /// `trigger` or `rule`.
    pub kind: String,
    pub name: String,
    /// Set to ALWAYS; else to REPLICA.
    pub always: bool,
}

pub(super) async fn read(session: &mut Session, scope: &Scope<'_>) -> Result<Vec<Firing>, PgError> {
    let mut list = Vec::new();
    for row in session.query(include_str!("sql/firing.sql"), &[]).await? {
        let table = row.table_name(0, 1)?;
        if (scope.included)(&table) {
            list.push(Firing {
                table,
                kind: row.get(2)?,
                name: row.get(3)?,
                always: row.get(4)?,
            });
        }
    }
    Ok(list)
}

/// `side` is where they were read: on the target where its tables exist, else on the source,
/// whose structure will be the target's.
pub(super) fn judge(list: &[Firing], side: Side) -> Vec<Finding> {
    each(list, |firing| {
        let Firing {
            table,
            kind,
            name,
            always,
        } = firing;
        let mode = if *always { "ALWAYS" } else { "REPLICA" };
        let code = if kind == "rule" {
            "rule-fires"
        } else {
            "trigger-fires"
        };
        let message = format!(
            "the {kind} {} is enabled {mode}: on the target it fires for every change that is applied, a second \
             time after the source's; disable it there until the cutover, unless that is meant",
            quote_ident(name)
        );
        let remedy = format!(
            "ALTER TABLE {} DISABLE {} {}; -- on the target",
            table.quoted(),
            kind.to_uppercase(),
            quote_ident(name)
        );
        Finding::warning(code, message)
            .on(side)
            .about(table)
            .mend(remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::{Firing, judge};
    use trunkline_changes::{Side, TableName};

    #[test]
    fn triggers_and_rules_that_fire_for_applied_changes_are_named() {
        let firing = |kind: &str, always| Firing {
            table: TableName::new("public", "orders"),
            kind: kind.to_owned(),
            name: "audit".to_owned(),
            always,
        };
        let findings = judge(
            &[firing("trigger", true), firing("rule", false)],
            Side::Source,
        );
        assert_eq!(
            (findings[0].code, findings[1].code),
            ("trigger-fires", "rule-fires")
        );
        assert!(findings[0].message.contains("ALWAYS") && findings[1].message.contains("REPLICA"));
        assert_eq!(
            findings[1].remedy.as_deref(),
            Some("ALTER TABLE \"public\".\"orders\" DISABLE RULE \"audit\"; -- on the target")
        );
    }
}
