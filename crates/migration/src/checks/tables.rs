//! The tables that move, and what is special about each.

use std::collections::BTreeSet;
use std::sync::Arc;

use trunkline_capture::slot::Plugin;
use trunkline_changes::{Pool, ReplicaIdentity, Side, TableName};
use trunkline_postgres::{DataRow, PgError, Session};

use super::finding::Finding;
use super::listing::{each, joined};
use super::report::counted;
use super::{Intent, Scope, identity, role};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Holds rows and can be published.
    Ordinary,
    /// Holds rows that are not in the write-ahead log.
    Unlogged,
    /// Holds none itself.
    Partitioned,
    Foreign,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of a catalog, independent of each other"
)]
pub(super) struct Table {
    pub name: TableName,
    pub kind: Kind,
    pub owner: Arc<str>,
    pub owner_is_superuser: bool,
    /// Whether we have the owner's rights.
    pub owned: bool,
    pub schema_usable: bool,
    pub selectable: bool,
    /// Whether row security would hide rows from us.
    pub hides_rows: bool,
    /// Whether row security binds the owner, too.
    pub forces_row_security: bool,
    pub identity: ReplicaIdentity,
    pub keys: identity::Keys,
    /// Whether the plan says that only new rows come.
    pub insert_only: bool,
    pub stored_columns: i64,
    pub virtual_columns: i64,
    pub identity_columns: i64,
    /// Heap and TOAST, by the planner's figures.
    pub bytes: u64,
    /// Roles other than the owner that were granted something.
    pub grantees: Arc<[String]>,
}

/// The tables in scope.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub list: Vec<Table>,
    /// Whether no table of the database was left out.
    pub complete: bool,
}

impl Tables {
    /// The schemas that have a table in scope.
    pub(super) fn schemas(&self) -> Vec<&str> {
        let schemas: BTreeSet<_> = self
            .list
            .iter()
            .map(|table| table.name.schema.as_str())
            .collect();
        schemas.into_iter().collect()
    }

    /// The tables whose changes are streamed.
    pub(super) fn streamed(&self) -> impl Iterator<Item = &Table> {
        self.list
            .iter()
            .filter(|table| table.kind == Kind::Ordinary)
    }

    /// Heap and TOAST of all.
    pub(super) fn bytes(&self) -> u64 {
        self.list.iter().map(|table| table.bytes).sum()
    }
}

pub(super) async fn read(session: &mut Session, scope: &Scope<'_>) -> Result<Tables, PgError> {
    let mut tables = Tables {
        complete: true,
        ..Tables::default()
    };
    // Tables that are alike share what they have in common: the list is long.
    let (mut owners, mut grantees) = (Pool::default(), Pool::default());
    let take = |row: DataRow| {
        let name = row.table_name(0, 1)?;
        if !(scope.included)(&name) {
            tables.complete = false;
            return Ok(());
        }
        let (kind, persistence, identity): (String, String, String) =
            (row.get(2)?, row.get(3)?, row.get(11)?);
        let insert_only = (scope.insert_only)(&name);
        tables.list.push(Table {
            name,
            kind: match (kind.as_str(), persistence.as_str()) {
                ("f", _) => Kind::Foreign,
                ("p", _) => Kind::Partitioned,
                (_, "u") => Kind::Unlogged,
                _ => Kind::Ordinary,
            },
            owner: owners.share(row.get::<String>(4)?),
            owner_is_superuser: row.get(5)?,
            owned: row.get(6)?,
            schema_usable: row.get(7)?,
            selectable: row.get(8)?,
            hides_rows: row.get(9)?,
            forces_row_security: row.get(10)?,
            // An identity that we do not know is no identity.
            identity: identity
                .bytes()
                .next()
                .and_then(ReplicaIdentity::from_letter)
                .unwrap_or(ReplicaIdentity::Nothing),
            keys: identity::Keys {
                primary: row.get(12)?,
                deferrable_primary: row.get(13)?,
                chosen: row.get(14)?,
                generated: row.get(15)?,
                whole_row_refused: row.get(16)?,
                candidate: row.get(17)?,
            },
            insert_only,
            stored_columns: row.get(18)?,
            virtual_columns: row.get(19)?,
            identity_columns: row.get(20)?,
            bytes: row.get(21)?,
            grantees: grantees.share(row.get::<Vec<String>>(22)?),
        });
        Ok(())
    };
    let sql = include_str!("sql/tables.sql");
    session.query_each(sql, &[], take).await?;
    Ok(tables)
}

/// The findings on the tables themselves; rights are [`super::privileges`]' matter.
pub(super) fn judge(
    tables: &Tables,
    source: &role::Facts,
    target: &role::Facts,
    intent: Intent,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tables.list.is_empty() {
        findings.push(
            Finding::warning(
                "no-tables",
                "no table is in scope: there is nothing to move",
            )
            .on(Side::Source),
        );
    }
    findings.extend(judge_row_security(tables, source, target));
    if intent.live {
        // Whether the whole row may be the identity is asked of what is published.
        let by_key = |table: &&Table| {
            intent.decoder == Plugin::Pgoutput || table.identity != ReplicaIdentity::Full
        };
        findings.extend(each(
            tables.list.iter().filter(|table| table.kind == Kind::Unlogged),
            |table| {
                let message = "the table is unlogged: its changes are not streamed; the contents are copied once, \
                               and looked at again at the cutover";
                Finding::warning("unlogged-table", message)
                    .on(Side::Source)
                    .about(&table.name)
                    .mend(format!("ALTER TABLE {} SET LOGGED;", table.name.quoted()))
            },
        ));
        findings.extend(each(
            tables.streamed().filter(by_key).filter_map(identity::judge),
            |finding| finding,
        ));
    }
    findings.extend(each(
        tables.list.iter().filter(|table| table.kind == Kind::Foreign),
        |table| {
            let message = "the rows of a foreign table are elsewhere and are not copied; the server behind it \
                           must be reachable from the target, and passwords of its user mappings do not move";
            Finding::warning("foreign-table", message).on(Side::Source).about(&table.name)
        },
    ));
    findings.extend(column_notices(tables));
    findings
}

fn judge_row_security(tables: &Tables, source: &role::Facts, target: &role::Facts) -> Vec<Finding> {
    let mut findings = each(
        tables.list.iter().filter(|table| table.hides_rows),
        |table| {
            let message = "row security applies to our role: rows would be hidden from the copy and the validation";
            Finding::blocker("row-security", message)
                .on(Side::Source)
                .about(&table.name)
                .mend(format!("ALTER ROLE {} BYPASSRLS;", source.quoted()))
        },
    );
    if !target.bypasses_row_security {
        let forced = tables.list.iter().filter(|table| table.forces_row_security);
        findings.extend(each(forced, |table| {
            let message = "row security is forced on this table, for its owner too: it will bind our role on the \
                           target, where it writes and validates";
            Finding::blocker("row-security", message)
                .on(Side::Target)
                .about(&table.name)
                .mend(format!("ALTER ROLE {} BYPASSRLS;", target.quoted()))
        }));
    }
    findings
}

fn column_notices(tables: &Tables) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut notice = |code, of: fn(&Table) -> i64, what: &str| {
        let having: Vec<_> = tables.list.iter().filter(|table| of(table) > 0).collect();
        let names: Vec<_> = having.iter().map(|table| &table.name).collect();
        if !names.is_empty() {
            let message = format!(
                "{} with {what}: {}",
                counted(names.len(), "table"),
                joined(&names)
            );
            findings.push(Finding::notice(code, message).on(Side::Source));
        }
    };
    notice(
        "generated-columns",
        |table| table.stored_columns + table.virtual_columns,
        "generated columns, which the target computes itself",
    );
    notice(
        "identity-columns",
        |table| table.identity_columns,
        "identity columns, whose values are taken as they are",
    );
    findings
}

#[cfg(test)]
pub(super) fn example(name: &str) -> Table {
    Table {
        name: TableName::new("public", name),
        kind: Kind::Ordinary,
        owner: "app_owner".into(),
        owner_is_superuser: false,
        owned: true,
        schema_usable: true,
        selectable: true,
        hides_rows: false,
        forces_row_security: false,
        identity: ReplicaIdentity::Default,
        keys: identity::Keys {
            primary: true,
            ..identity::Keys::default()
        },
        insert_only: false,
        stored_columns: 0,
        virtual_columns: 0,
        identity_columns: 0,
        bytes: 8_192,
        grantees: Arc::default(),
    }
}

#[cfg(test)]
pub(super) fn examples(list: Vec<Table>) -> Tables {
    Tables {
        list,
        complete: true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Intent, intent_of_a_live_move, role};
    use super::{Kind, Table, example, examples, judge};

    fn codes(list: Vec<Table>, intent: Intent) -> Vec<&'static str> {
        let (source, target) = (role::example(), role::example());
        judge(&examples(list), &source, &target, intent)
            .into_iter()
            .map(|finding| finding.code)
            .collect()
    }

    #[test]
    fn an_ordinary_table_is_no_finding_and_no_table_is_one() {
        assert!(codes(vec![example("orders")], intent_of_a_live_move()).is_empty());
        assert_eq!(codes(Vec::new(), intent_of_a_live_move()), ["no-tables"]);
    }

    #[test]
    fn what_the_stream_does_not_carry_matters_only_in_a_live_move() {
        let list = || {
            vec![
                Table {
                    kind: Kind::Unlogged,
                    ..example("scratch")
                },
                Table {
                    keys: super::identity::Keys::default(),
                    ..example("no_key")
                },
                Table {
                    kind: Kind::Foreign,
                    ..example("elsewhere")
                },
                Table {
                    identity_columns: 1,
                    virtual_columns: 1,
                    ..example("special")
                },
            ]
        };
        assert_eq!(
            codes(list(), intent_of_a_live_move()),
            [
                "unlogged-table",
                "replica-identity",
                "foreign-table",
                "generated-columns",
                "identity-columns"
            ]
        );
        let at_rest = Intent {
            live: false,
            ..intent_of_a_live_move()
        };
        assert_eq!(
            codes(list(), at_rest),
            ["foreign-table", "generated-columns", "identity-columns"]
        );
    }

    #[test]
    fn row_security_blocks_where_it_binds_us() {
        let hiding = Table {
            hides_rows: true,
            forces_row_security: true,
            ..example("secret")
        };
        let at_rest = Intent {
            live: false,
            ..intent_of_a_live_move()
        };
        assert_eq!(
            codes(vec![hiding.clone()], at_rest),
            ["row-security", "row-security"]
        );
        let mut bypassing = role::example();
        bypassing.bypasses_row_security = true;
        let findings = judge(
            &examples(vec![hiding]),
            &role::example(),
            &bypassing,
            at_rest,
        );
        assert_eq!(findings.len(), 1);
    }
}
