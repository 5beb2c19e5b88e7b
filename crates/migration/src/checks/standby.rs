//! What must be so that a physical standby can become the target. Two lists: what `check`
//! says, and what a cutover is refused by.

mod judge;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::BTreeMap;

use trunkline_changes::Side;
use trunkline_postgres::{Fault, OnSide, PgError, ServerVersion, Session};

use super::finding::Finding;
use super::way_back::{self, Question};
use super::{Standing, server};
use crate::error::Error;
use crate::fence::{self, FenceError};
use crate::plan::{Plan, WayBack};
use crate::standby::StandbyLook;
use crate::way::Way;

/// What is known of one of the two servers.
#[derive(Clone, Debug)]
struct Facts {
    version: ServerVersion,
    /// `None` when the provider hides it.
    system_id: Option<String>,
    in_recovery: bool,
    /// Settings that were made there.
    settings: BTreeMap<String, String>,
    /// The versions of the C library's collations and of ICU's.
    collations: [Option<String>; 2],
}

/// What is known of the standby beside that.
#[derive(Clone, Debug)]
struct StandbyFacts {
    look: StandbyLook,
    may_promote: bool,
    /// Extensions of the source whose files it lacks.
    without_files: Vec<String>,
}

/// What a standby brings with it, or leaves behind.
#[derive(Clone, Debug, Default)]
struct Company {
    /// Other databases of the source's server, each with its sessions.
    databases: Vec<(String, i64)>,
    tablespaces: Vec<String>,
    /// Logical slots of the source that the plan does not name.
    slots: Vec<String>,
    unlogged_tables: i64,
}

/// Everything that `check` says of this route.
pub(crate) async fn examine(
    plan: &Plan,
    source: &mut Session,
    target: &mut Session,
) -> Result<Vec<Finding>, Error> {
    let mut findings = obstacles(source, target).await?;
    let doing = "reading about the server";
    let from = facts(source).await.on(Side::Source, doing)?;
    let to = facts(target).await.on(Side::Target, doing)?;
    findings.extend(judge::settings(&from, &to));
    let company = company(source, plan).await.on(Side::Source, doing)?;
    findings.extend(judge::company(&company));
    findings.extend(unfenceable(plan, source).await?);
    if plan.cutover.way_back == WayBack::Open && to.in_recovery {
        let insert_only = |table: &trunkline_changes::TableName| {
            let scope = plan.insert_only.as_ref();
            scope.is_some_and(|scope| scope.covers_table(table))
        };
        let question = Question {
            way: Way::There,
            scope: &|table| plan.scope.covers_table(table),
            own_subscription: None,
            // A standby has its source's names.
            placed: &|table| Some(table.clone()),
            insert_only: &insert_only,
            maintenance_database: &plan.cutover.maintenance_database,
            downstream: &plan.downstream,
            tables: Standing::There,
        };
        findings.extend(way_back::examine(source, target, &question).await?);
    }
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

/// What can be said of this route while its standby is not there yet.
pub(crate) async fn examine_alone(
    plan: &Plan,
    source: &mut Session,
) -> Result<Vec<Finding>, Error> {
    let company = company(source, plan).await;
    let company = company.on(Side::Source, "reading about the server")?;
    let mut findings = judge::company(&company);
    findings.extend(unfenceable(plan, source).await?);
    Ok(findings)
}

/// What a cutover cannot be begun with.
pub(crate) async fn obstacles(
    source: &mut Session,
    target: &mut Session,
) -> Result<Vec<Finding>, Error> {
    let doing = "reading about the server";
    let from = facts(source).await.on(Side::Source, doing)?;
    let to = facts(target).await.on(Side::Target, doing)?;
    let look = StandbyLook::read(target).await?;
    let extensions = extensions(source).await.on(Side::Source, doing)?;
    let standby = StandbyFacts {
        look,
        may_promote: may_promote(target).await.on(Side::Target, doing)?,
        without_files: names(
            target,
            include_str!("sql/standby_libraries.sql"),
            &[&extensions],
        )
        .await
        .on(Side::Target, doing)?,
    };
    let mut findings = judge::obstacles(&from, &to, &standby);
    if look.is_standby {
        let waiting = waiting::read(source, target).await;
        findings.extend(waiting::judge(&waiting.on(Side::Source, doing)?));
    }
    Ok(findings)
}

async fn facts(session: &mut Session) -> Result<Facts, PgError> {
    let server = server::read(session).await?;
    let rows = session
        .query(include_str!("sql/standby_settings.sql"), &[])
        .await?;
    let mut settings = BTreeMap::new();
    for row in rows {
        settings.insert(row.get(0)?, row.get(1)?);
    }
    for name in judge::NOT_SMALLER {
        if let Some(value) = server.settings.text(name) {
            settings.insert(name.to_owned(), value.to_owned());
        }
    }
    let sql = include_str!("sql/standby_collations.sql");
    let row = session.query_one(sql, &[]).await?;
    Ok(Facts {
        version: server.version,
        system_id: server.system_id,
        in_recovery: server.in_recovery,
        settings,
        collations: [row.get(0)?, row.get(1)?],
    })
}

async fn may_promote(target: &mut Session) -> Result<bool, PgError> {
    let sql = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_promote(boolean, integer)', \
               'EXECUTE')";
    target.query_one(sql, &[]).await?.get(0)
}

async fn extensions(source: &mut Session) -> Result<Vec<String>, PgError> {
    names(
        source,
        "SELECT extname FROM pg_catalog.pg_extension ORDER BY 1",
        &[],
    )
    .await
}

async fn names(
    session: &mut Session,
    sql: &str,
    params: &[&dyn trunkline_postgres::ToParam],
) -> Result<Vec<String>, PgError> {
    let rows = session.query(sql, params).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn company(source: &mut Session, plan: &Plan) -> Result<Company, PgError> {
    let sql = include_str!("sql/standby_databases.sql");
    let rows = source
        .query(sql, &[&plan.cutover.maintenance_database])
        .await?;
    let mut databases = Vec::new();
    for row in rows {
        databases.push((row.get(0)?, row.get(1)?));
    }
    let tablespaces = "SELECT spcname FROM pg_catalog.pg_tablespace \
                       WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1";
    let slots = "SELECT slot_name FROM pg_catalog.pg_replication_slots \
                 WHERE slot_type = 'logical' AND NOT temporary AND slot_name <> ALL ($1::text[]) \
                 ORDER BY 1";
    let unlogged = "SELECT count(*) FROM pg_catalog.pg_class \
                    WHERE relpersistence = 'u' AND relkind = 'r'";
    Ok(Company {
        databases,
        tablespaces: names(source, tablespaces, &[]).await?,
        slots: names(source, slots, &[&plan.downstream]).await?,
        unlogged_tables: source.query_one(unlogged, &[]).await?.get(0)?,
    })
}

/// Why the source could not be closed in the pause, if it could not.
async fn unfenceable(plan: &Plan, source: &mut Session) -> Result<Option<Finding>, Fault> {
    let maintenance = &plan.cutover.maintenance_database;
    let conninfo = plan.source.with_database(maintenance);
    let mut outside = Session::connect(&conninfo, "check").await.ok();
    match fence::strength(source, outside.as_mut(), Side::Source).await {
        Ok(_) => Ok(None),
        Err(FenceError::Fault(fault)) => Err(fault),
        Err(error) => Ok(Some(
            Finding::blocker(
                "fence",
                format!("the source could not be closed in the pause: {error}"),
            )
            .on(Side::Source),
        )),
    }
}
