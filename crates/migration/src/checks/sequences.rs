//! The sequences that move: those of tables in scope, and free ones that are in scope by name.

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{DataRow, PgError, Session};

use super::finding::{Finding, all_on};
use super::listing::each;
use super::report::counted;
use super::{Intent, Scope, role};

#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub name: TableName,
    pub selectable: bool,
}

pub(super) async fn read(
    session: &mut Session,
    scope: &Scope<'_>,
) -> Result<Vec<Sequence>, PgError> {
    let mut sequences = Vec::new();
    let take = |row: DataRow| {
        let name = row.table_name(0, 1)?;
        let (schema, table): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        let holder = match (schema, table) {
            (Some(schema), Some(name)) => TableName::new(schema, name),
            _ => name.clone(),
        };
        if (scope.included)(&holder) {
            sequences.push(Sequence {
                name,
                selectable: row.get(4)?,
            });
        }
        Ok(())
    };
    let sql = include_str!("sql/sequences.sql");
    session.query_each(sql, &[], take).await?;
    Ok(sequences)
}

pub(super) fn judge(sequences: &[Sequence], role: &role::Facts, intent: Intent) -> Vec<Finding> {
    let unreadable = sequences.iter().filter(|sequence| !sequence.selectable);
    let mut findings = each(unreadable, |sequence| {
        Finding::blocker("sequence-select", "our role may not read the sequence")
            .about(&sequence.name)
            .mend(format!(
                "GRANT SELECT ON SEQUENCE {} TO {};",
                sequence.name.quoted(),
                role.quoted()
            ))
    });
    if !sequences.is_empty() {
        let count = counted(sequences.len(), "sequence");
        let message = if intent.live {
            format!("{count}: not in the stream; set at the cutover, and read back")
        } else {
            format!("{count}: set at the end of the copy")
        };
        findings.push(Finding::notice("sequences", message));
    }
    all_on(findings, Side::Source)
}

#[cfg(test)]
mod tests {
    use super::super::{intent_of_a_live_move, role};
    use super::{Sequence, judge};
    use trunkline_changes::TableName;

    #[test]
    fn an_unreadable_sequence_blocks_and_the_count_is_a_notice() {
        let sequence = |selectable| Sequence {
            name: TableName::new("public", "s"),
            selectable,
        };
        let findings = judge(
            &[sequence(true), sequence(false)],
            &role::example(),
            intent_of_a_live_move(),
        );
        let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["sequence-select", "sequences"]);
        let remedy = findings[0].remedy.as_deref();
        assert_eq!(
            remedy,
            Some("GRANT SELECT ON SEQUENCE \"public\".\"s\" TO \"trunkline\";")
        );
        assert!(judge(&[], &role::example(), intent_of_a_live_move()).is_empty());
    }
}
