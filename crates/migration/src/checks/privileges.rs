//! The rights that the work needs on each side, and the GRANT for each that is missing.
//! SECURITY.md says why each is asked for; the two must agree.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_capture::slot::Plugin;
use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_postgres::{PgError, Session};

use super::finding::{Finding, all_on};
use super::listing::{each, joined};
use super::report::counted;
use super::tables::{Kind, Table, Tables};
use super::{Intent, role, server};

/// What our publication covers already, made by us before or by an administrator.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    all_tables: bool,
    tables: BTreeSet<TableName>,
}

impl Publication {
    fn covers(&self, table: &TableName) -> bool {
        self.all_tables || self.tables.contains(table)
    }
}

pub(super) async fn publication(
    session: &mut Session,
    name: &str,
) -> Result<Option<Publication>, PgError> {
    let Some(row) = session
        .query_opt(include_str!("sql/publication.sql"), &[&name])
        .await?
    else {
        return Ok(None);
    };
    let (schemas, names): (Vec<String>, Vec<String>) = (row.get(1)?, row.get(2)?);
    let tables = schemas
        .into_iter()
        .zip(names)
        .map(|(schema, name)| TableName::new(schema, name));
    Ok(Some(Publication {
        all_tables: row.get(0)?,
        tables: tables.collect(),
    }))
}

pub(super) fn judge_source(
    role: &role::Facts,
    server: &server::Facts,
    tables: &Tables,
    publication: Option<&Publication>,
    intent: Intent,
) -> Vec<Finding> {
    let mut findings = judge_reading(role, tables);
    if intent.live {
        findings.extend(judge_streaming(role, server));
        if intent.decoder == Plugin::Pgoutput {
            findings.extend(judge_publishing(role, server, tables, publication));
        }
        findings.extend(judge_fencing(role, server, intent));
    }
    all_on(findings, Side::Source)
}

fn judge_reading(role: &role::Facts, tables: &Tables) -> Vec<Finding> {
    let closed: BTreeSet<_> = tables
        .list
        .iter()
        .filter(|table| !table.schema_usable)
        .map(|table| table.name.schema.as_str())
        .collect();
    let mut findings = each(closed, |schema| {
        Finding::blocker("schema-usage", "our role may not use the schema")
            .about(schema)
            .mend(format!(
                "GRANT USAGE ON SCHEMA {} TO {};",
                quote_ident(schema),
                role.quoted()
            ))
    });
    let unreadable = |table: &&Table| !table.selectable && table.kind != Kind::Foreign;
    findings.extend(each(tables.list.iter().filter(unreadable), |table| {
        Finding::blocker("table-select", "our role may not read the table")
            .about(&table.name)
            .mend(format!(
                "GRANT SELECT ON TABLE {} TO {};",
                table.name.quoted(),
                role.quoted()
            ))
    }));
    findings
}

fn judge_streaming(role: &role::Facts, server: &server::Facts) -> Option<Finding> {
    if role.replication {
        return None;
    }
    let message = "our role may not make a replication slot or read the stream";
    Some(
        Finding::blocker("replication-right", message)
            .about(&role.name)
            .mend(replication_remedy(role, server)),
    )
}

pub(super) fn replication_remedy(role: &role::Facts, server: &server::Facts) -> String {
    if server.platform.is_aws() {
        format!("GRANT rds_replication TO {};", role.quoted())
    } else {
        format!("ALTER ROLE {} REPLICATION;", role.quoted())
    }
}

fn judge_publishing(
    role: &role::Facts,
    server: &server::Facts,
    tables: &Tables,
    publication: Option<&Publication>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if publication.is_none() && !role.creates_in_database {
        let message = "our role may not make a publication in this database";
        findings.push(create_on_database(message, role, server));
    }
    let mut by_owner: BTreeMap<(&str, bool), Vec<&TableName>> = BTreeMap::new();
    for table in tables.streamed().filter(|table| !table.owned) {
        if publication.is_none_or(|publication| !publication.covers(&table.name)) {
            let owner = (&*table.owner, table.owner_is_superuser);
            by_owner.entry(owner).or_default().push(&table.name);
        }
    }
    findings.extend(each(by_owner, |((owner, superuser), names)| {
        let message = format!(
            "only the owner of a table may publish it, and our role has not the rights of {owner}, the owner of \
             {}: {}",
            counted(names.len(), "table"),
            joined(&names)
        );
        Finding::blocker("table-owner", message)
            .about(owner)
            .mend(membership_or_publication(owner, superuser, role))
    }));
    findings
}

/// Membership in a superuser would hand over the server: then the publication is better made
/// by an administrator.
fn membership_or_publication(owner: &str, superuser: bool, role: &role::Facts) -> String {
    if superuser {
        format!(
            "-- {owner} is a superuser: give the tables to a plain role,\n\
             -- or let an administrator make the publication: trunkline sql publication"
        )
    } else {
        format!("GRANT {} TO {};", quote_ident(owner), role.quoted())
    }
}

/// The same where an administrator's publication would not help.
pub(super) fn membership_or_owner(owner: &str, superuser: bool, role: &role::Facts) -> String {
    if superuser {
        format!("-- {owner} is a superuser: give the table to a plain role")
    } else {
        format!("GRANT {} TO {};", quote_ident(owner), role.quoted())
    }
}

fn create_on_database(message: &str, role: &role::Facts, server: &server::Facts) -> Finding {
    let database = &server.database;
    Finding::blocker("create-on-database", message)
        .about(database)
        .mend(format!(
            "GRANT CREATE ON DATABASE {} TO {};",
            quote_ident(database),
            role.quoted()
        ))
}

/// What the cutover's fence needs: not needed before, so warnings. With a way back both sides
/// are fenced, and [`super::way_back`] asks for the rights on both.
fn judge_fencing(role: &role::Facts, server: &server::Facts, intent: Intent) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !intent.way_back && !role.owns_database {
        let owner = &role.database_owner;
        let message = format!(
            "at the cutover the fence closes the database to connections and sets it read-only, which only its \
             owner may do, and our role has not the rights of {owner}: the cutover will be refused until this is \
             mended"
        );
        findings.push(
            Finding::warning("database-owner", message)
                .about(&server.database)
                .mend(database_owner_remedy(role, server)),
        );
    }
    if !intent.way_back && !role.signals_backends {
        let message =
            "at the cutover the fence ends the sessions of other roles, which our role may not";
        findings.push(
            Finding::warning("signal-backend", message)
                .about(&role.name)
                .mend(signal_backend_remedy(role)),
        );
    }
    if !role.reads_all_stats {
        let message = "our role cannot see what other roles' sessions do, nor how old their transactions are: the \
                       slot may have to wait for one, and the fence has less to show";
        let remedy = format!("GRANT pg_read_all_stats TO {};", role.quoted());
        findings.push(
            Finding::warning("read-stats", message)
                .about(&role.name)
                .mend(remedy),
        );
    }
    findings.extend(judge_maintenance(role));
    findings
}

pub(super) fn database_owner_remedy(role: &role::Facts, server: &server::Facts) -> String {
    if role.database_owner_is_superuser {
        format!(
            "ALTER DATABASE {} OWNER TO {}; -- back to {} when the migration is complete",
            quote_ident(&server.database),
            role.quoted(),
            role.database_owner
        )
    } else {
        format!(
            "GRANT {} TO {};",
            quote_ident(&role.database_owner),
            role.quoted()
        )
    }
}

pub(super) fn signal_backend_remedy(role: &role::Facts) -> String {
    format!("GRANT pg_signal_backend TO {};", role.quoted())
}

/// Where no other database lets us in, a fence is less firm, and still one.
pub(super) fn judge_maintenance(role: &role::Facts) -> Option<Finding> {
    if role.connects_to_maintenance {
        return None;
    }
    let database = &role.maintenance_database;
    let message = "a fence is set and lifted from this other database, which is not there, or our role may not \
                   connect to it: without it the fence is less firm, superusers can come in and begin read-only";
    let remedy = format!(
        "GRANT CONNECT ON DATABASE {} TO {};",
        quote_ident(database),
        role.quoted()
    );
    Some(
        Finding::warning("maintenance-database", message)
            .about(database)
            .mend(remedy),
    )
}

/// What an administrator says so that our role may keep triggers and foreign keys at rest.
pub(super) fn replica_role_remedy(role: &role::Facts, server: &server::Facts) -> String {
    if server.version.major() >= 15 {
        format!(
            "GRANT SET ON PARAMETER session_replication_role TO {};",
            role.quoted()
        )
    } else if server.platform.is_aws() {
        format!("GRANT rds_superuser TO {};", role.quoted())
    } else {
        format!(
            "ALTER ROLE {} SET session_replication_role = replica;",
            role.quoted()
        )
    }
}

pub(super) fn judge_target(
    role: &role::Facts,
    server: &server::Facts,
    intent: Intent,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !role.creates_in_database {
        let message = "our role may not make schemas in this database: its own, trunkline, and those that move";
        findings.push(create_on_database(message, role, server));
    }
    if (intent.live || !intent.structure) && !role.sets_replica_role {
        let message = "our role may not set session_replication_role: triggers would fire a second time for every \
                       change, and foreign keys would cascade what the stream brings anyway";
        findings.push(
            Finding::blocker("replica-role", message)
                .about("session_replication_role")
                .mend(replica_role_remedy(role, server)),
        );
    }
    all_on(findings, Side::Target)
}

#[cfg(test)]
mod tests;
