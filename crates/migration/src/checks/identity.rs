//! Whether the source can tell a table's rows apart in the stream, and what mends it. A table
//! without a usable replica identity that is published makes the source refuse its updates
//! and deletes (manual, section 31.1).

use trunkline_changes::{ReplicaIdentity, Side, TableName, quote_ident};
use trunkline_postgres::{PgError, Session};

use super::Scope;
use super::finding::Finding;
use super::listing::{each, joined};
use super::report::counted;
use super::tables::{Table, Tables};

/// The unique indexes of a table that are valid.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an answer of the server"
)]
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// A primary key that is not deferrable.
    pub primary: bool,
    /// A deferrable primary key, which cannot be the identity.
    pub deferrable_primary: bool,
    /// An index was chosen by REPLICA IDENTITY USING INDEX, and is still there.
    pub chosen: bool,
    /// The primary key, or the chosen index, has a generated column, which the stream leaves out.
    pub generated: bool,
    /// The whole row cannot be the identity: it has generated columns, and a server from 18 on takes
    /// no updates of such a table once it is published (manual, section 29.6).
    pub whole_row_refused: bool,
    /// Another unique index that could be chosen.
    pub candidate: Option<String>,
}

/// Whether the identity that the table has can be used.
fn usable(table: &Table) -> bool {
    match table.identity {
        ReplicaIdentity::Default => table.keys.primary,
        ReplicaIdentity::Index => table.keys.chosen,
        ReplicaIdentity::Full => !table.keys.whole_row_refused,
        ReplicaIdentity::Nothing => false,
    }
}

/// The statement that gives a table the cheapest usable identity.
pub(super) fn remedy(table: &Table) -> String {
    if !table.keys.primary && table.keys.candidate.is_none() && table.keys.whole_row_refused {
        return format!(
            "-- {} needs a unique index over columns that are NOT NULL and not generated",
            table.name.quoted()
        );
    }
    let identity = match &table.keys.candidate {
        _ if table.keys.primary => "DEFAULT".to_owned(),
        Some(index) => format!("USING INDEX {}", quote_ident(index)),
        None => "FULL".to_owned(),
    };
    format!(
        "ALTER TABLE {} REPLICA IDENTITY {identity};",
        table.name.quoted()
    )
}

pub(super) fn judge(table: &Table) -> Option<Finding> {
    let why = lack(table)?;
    let message = format!(
        "{why}: once published, the source would refuse updates and deletes of this table; give it an identity, \
         or list it as insert-only"
    );
    let finding = Finding::blocker("replica-identity", message);
    Some(
        finding
            .on(Side::Source)
            .about(&table.name)
            .mend(remedy(table)),
    )
}

/// Why a table's rows cannot be told apart in the stream, if they have to be.
pub(super) fn lack(table: &Table) -> Option<&'static str> {
    if table.insert_only || usable(table) {
        return None;
    }
    let by_key = matches!(
        table.identity,
        ReplicaIdentity::Default | ReplicaIdentity::Index
    );
    if by_key && table.keys.generated {
        return Some("its key has a generated column, which the stream leaves out");
    }
    Some(match table.identity {
        ReplicaIdentity::Default if table.keys.deferrable_primary => {
            "its primary key is deferrable and cannot tell rows apart in the stream"
        }
        ReplicaIdentity::Default => "it has no primary key",
        ReplicaIdentity::Index => "the index chosen for it is gone or not valid",
        ReplicaIdentity::Full => {
            "its replica identity is the whole row, with generated columns, which this server's \
             version refuses"
        }
        ReplicaIdentity::Nothing => "its replica identity is NOTHING",
    })
}

/// Tables whose whole row is the identity, with the columns of a type without equality.
pub(super) async fn read_incomparable(
    session: &mut Session,
    scope: &Scope<'_>,
) -> Result<Vec<(TableName, Vec<String>)>, PgError> {
    let mut incomparable = Vec::new();
    for row in session.query(include_str!("sql/equality.sql"), &[]).await? {
        let name = row.table_name(0, 1)?;
        if (scope.included)(&name) {
            incomparable.push((name, row.get(2)?));
        }
    }
    Ok(incomparable)
}

/// What the whole row as identity costs.
pub(super) fn judge_full(
    tables: &Tables,
    incomparable: &[(TableName, Vec<String>)],
) -> Vec<Finding> {
    let full: Vec<_> = tables
        .streamed()
        .filter(|table| table.identity == ReplicaIdentity::Full && !table.insert_only)
        .map(|table| &table.name)
        .collect();
    let mut findings = Vec::new();
    if !full.is_empty() {
        let message = format!(
            "the whole row is the identity of {}: {}; the source writes every old row to its log, and without an \
             index the target reads the table for every change",
            counted(full.len(), "table"),
            joined(&full)
        );
        findings.push(Finding::notice("full-identity", message).on(Side::Source));
    }
    findings.extend(each(incomparable, |(table, columns)| {
        let message = format!(
            "the type of {} has no equality: native replication cannot find a row by it, and Trunkline compares its \
             text",
            joined(columns)
        );
        Finding::notice("no-equality", message).on(Side::Source).about(table)
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tables::{Table, example, examples};
    use super::{Keys, judge, judge_full};
    use trunkline_changes::{ReplicaIdentity, TableName};

    /// What follows REPLICA IDENTITY in the remedy; `None` without a finding.
    fn remedy(identity: ReplicaIdentity, keys: Keys) -> Option<String> {
        let finding = judge(&Table {
            identity,
            keys,
            ..example("t")
        })?;
        let sql = finding.remedy.expect("it says what mends it");
        let clause = sql.strip_prefix("ALTER TABLE \"public\".\"t\" REPLICA IDENTITY ");
        Some(
            clause
                .and_then(|clause| clause.strip_suffix(';'))
                .expect("it alters the table")
                .to_owned(),
        )
    }

    #[test]
    fn generated_columns_are_no_part_of_an_identity() {
        let keys = Keys {
            generated: true,
            ..Keys::default()
        };
        assert!(remedy(ReplicaIdentity::Default, keys).is_some());
        let whole = Table {
            identity: ReplicaIdentity::Full,
            keys: Keys {
                whole_row_refused: true,
                ..Keys::default()
            },
            ..example("t")
        };
        let finding = judge(&whole).expect("version 18 takes no updates of it");
        let mend = finding.remedy.expect("it says what is needed");
        assert!(mend.contains("unique index"), "{mend}");
    }

    #[test]
    fn a_usable_identity_is_no_finding() {
        let primary = || Keys {
            primary: true,
            ..Keys::default()
        };
        assert_eq!(remedy(ReplicaIdentity::Default, primary()), None);
        assert_eq!(remedy(ReplicaIdentity::Full, Keys::default()), None);
        assert_eq!(
            remedy(
                ReplicaIdentity::Index,
                Keys {
                    chosen: true,
                    ..Keys::default()
                }
            ),
            None
        );
    }

    #[test]
    fn the_remedy_is_the_cheapest_identity_that_there_is() {
        let candidate = || Keys {
            candidate: Some("by \"a\"".to_owned()),
            ..Keys::default()
        };
        assert_eq!(
            remedy(ReplicaIdentity::Default, Keys::default()),
            Some("FULL".to_owned())
        );
        assert_eq!(
            remedy(ReplicaIdentity::Default, candidate()),
            Some("USING INDEX \"by \"\"a\"\"\"".to_owned())
        );
        let primary = Keys {
            primary: true,
            ..candidate()
        };
        assert_eq!(
            remedy(ReplicaIdentity::Nothing, primary),
            Some("DEFAULT".to_owned())
        );
        assert_eq!(
            remedy(ReplicaIdentity::Index, Keys::default()),
            Some("FULL".to_owned())
        );
    }

    #[test]
    fn a_deferrable_primary_key_is_not_usable() {
        let keys = Keys {
            deferrable_primary: true,
            ..Keys::default()
        };
        let finding = judge(&Table {
            keys,
            ..example("t")
        })
        .expect("found");
        assert!(finding.message.contains("deferrable"));
    }

    #[test]
    fn a_table_that_is_only_inserted_into_needs_none() {
        let table = Table {
            keys: Keys::default(),
            insert_only: true,
            ..example("log")
        };
        assert_eq!(judge(&table), None);
    }

    #[test]
    fn the_whole_row_as_identity_is_noted_with_columns_that_cannot_be_compared() {
        let full = Table {
            identity: ReplicaIdentity::Full,
            ..example("t")
        };
        let incomparable = [(TableName::new("public", "t"), vec!["what".to_owned()])];
        let findings = judge_full(&examples(vec![full, example("u")]), &incomparable);
        let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["full-identity", "no-equality"]);
        assert!(findings[0].message.contains("1 table: public.t"));
    }
}
