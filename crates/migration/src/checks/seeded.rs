//! What stands in the way of a migration whose target is to be a physical copy of the source,
//! as far as the source can tell before there is one. The copy will have its roles, tables and
//! settings; what differs is found when both stand.

use trunkline_changes::Side;
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};

use super::finding::Finding;
use super::{
    Intent, Scope, TablePredicate, activity, identity, privileges, replication, role, server,
    sessions, size, sorted, tables,
};

/// What is to be examined.
pub(crate) struct SourceInput<'a> {
    pub(crate) source: &'a mut Session,
    pub(crate) scope: TablePredicate<'a>,
    pub(crate) insert_only: TablePredicate<'a>,
    pub(crate) maintenance_database: &'a str,
    pub(crate) own_slot: Option<&'a str>,
    pub(crate) own_publication: Option<&'a str>,
    pub(crate) downstream: &'a [String],
    /// Whether the copy is a base backup that we make.
    pub(crate) made_by_us: bool,
    /// Why this machine cannot make it, and what to do.
    pub(crate) trouble: Option<(String, String)>,
}

const INTENT: Intent = Intent {
    live: true,
    structure: false,
    drop_if_exists: false,
    no_owner: false,
    no_privileges: false,
    own_control_schema: false,
    way_back: true,
};

/// Reads the source and gives every finding, the gravest first.
pub(crate) async fn examine(input: SourceInput<'_>) -> Result<Vec<Finding>, Fault> {
    let found = read(input).await;
    Ok(sorted(found.on(Side::Source, "reading about the source")?))
}

async fn read(input: SourceInput<'_>) -> Result<Vec<Finding>, PgError> {
    let source = input.source;
    let server = server::read(source).await?;
    let role = role::read(source, input.maintenance_database).await?;
    let scope = Scope {
        included: input.scope,
        insert_only: input.insert_only,
    };
    let tables = tables::read(source, &scope).await?;
    let publication = match input.own_publication {
        Some(name) => privileges::publication(source, name).await?,
        None => None,
    };
    let mut findings =
        privileges::judge_source(&role, &server, &tables, publication.as_ref(), INTENT);
    findings.extend(tables::judge(&tables, &role, &role, INTENT));
    let incomparable = identity::read_incomparable(source, &scope).await?;
    findings.extend(identity::judge_full(&tables, &incomparable));
    let size = size::read(source).await?;
    findings.extend(size::judge(size, &server, &tables, INTENT));
    let connections = role::judge_connections(&role).into_iter();
    findings.extend(connections.map(|found| found.on(Side::Source)));
    findings.extend(sessions::judge_timeouts(Side::Source, &server));
    let slots = replication::read(source).await?;
    let (own_slot, downstream) = (input.own_slot, input.downstream);
    findings.extend(replication::judge(&slots, &server, own_slot, downstream));
    let activity = activity::read(source).await?;
    findings.extend(activity::judge(&activity, &role));
    let facts = Facts::read(
        &source
            .query_one(include_str!("sql/seeded.sql"), &[])
            .await?,
    )?;
    findings.extend(judge(&facts, input.made_by_us));
    if let Some((why, remedy)) = input.trouble {
        findings.push(Finding::blocker("seeded-machine", why).mend(remedy));
    }
    Ok(findings)
}

/// What a copy of the whole server brings with it.
#[derive(Debug, Default)]
struct Facts {
    databases: Vec<String>,
    tablespaces: Vec<String>,
    subscriptions: i64,
    prepared: i64,
    in_recovery: bool,
}

impl Facts {
    fn read(row: &DataRow) -> Result<Self, PgError> {
        let list = |text: Option<String>| -> Vec<String> {
            text.map_or_else(Vec::new, |text| text.lines().map(str::to_owned).collect())
        };
        Ok(Facts {
            databases: list(row.get(0)?),
            tablespaces: list(row.get(1)?),
            subscriptions: row.get(2)?,
            prepared: row.get(3)?,
            in_recovery: row.get(4)?,
        })
    }
}

fn judge(facts: &Facts, made_by_us: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.push(Finding::notice(
        "seeded",
        "the target is to be a physical copy: it is examined when it stands, before any change is \
         applied; it has the source's version (unless it is upgraded before), roles, locale and \
         bloat",
    ));
    if !facts.databases.is_empty() {
        let message = "the copy takes the server's other databases with it; changes of these are \
                       not applied, and they stay on the target as they were";
        findings
            .push(Finding::warning("seeded-databases", message).about(facts.databases.join(", ")));
    }
    if !facts.tablespaces.is_empty() && made_by_us {
        let message = "a base backup would write the tablespaces to the paths that they have on \
                       the source";
        findings.push(
            Finding::blocker("seeded-tablespaces", message)
                .about(facts.tablespaces.join(", "))
                .mend("make the copy yourself and take provider = \"operator\""),
        );
    }
    if facts.in_recovery {
        let message = "the source is a standby: changes cannot be followed from it";
        findings.push(Finding::blocker("seeded-standby", message));
    }
    let message = "the copy must not go on with the source's subscriptions: a copy that we make \
                   starts without them, and one that you start yourself needs \
                   max_logical_replication_workers = 0 until `trunkline run` has removed them";
    if facts.subscriptions > 0 {
        findings.push(Finding::warning("seeded-subscriptions", message));
    }
    if facts.prepared > 0 {
        let message = "transactions are prepared: on the copy they are rolled back, and come \
                       through the stream if they are committed";
        findings.push(Finding::notice("seeded-prepared", message));
    }
    let on_source = |finding: Finding| finding.on(Side::Source);
    findings.into_iter().map(on_source).collect()
}

#[cfg(test)]
mod tests {
    use super::{Facts, judge};

    #[test]
    fn tablespaces_stand_in_the_way_of_a_copy_that_we_make_only() {
        let facts = Facts {
            tablespaces: vec!["fast".to_owned()],
            ..Facts::default()
        };
        let blocks = |made_by_us| {
            let findings = judge(&facts, made_by_us);
            findings
                .iter()
                .any(|found| found.code == "seeded-tablespaces")
        };
        assert!(blocks(true));
        assert!(!blocks(false));
    }
}
