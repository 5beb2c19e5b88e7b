//! What stands on the target already: in the way when the structure is to be made, needed when
//! it is to be there.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{PgError, Session};

use super::finding::Finding;
use super::listing::each;
use super::report::counted;
use super::tables::{Kind, Tables};
use super::{Intent, role};

#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub droppable: bool,
    pub writable: bool,
    pub owner: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub relations: BTreeMap<TableName, Relation>,
    pub control_schema: bool,
}

pub(super) async fn control_schema(session: &mut Session) -> Result<bool, PgError> {
    session.query_one(include_str!("sql/control_schema.sql"), &[]).await?.get(0)
}

pub(super) async fn read(session: &mut Session) -> Result<Facts, PgError> {
    let mut relations = BTreeMap::new();
    for row in session.query(include_str!("sql/existing.sql"), &[]).await? {
        let name = TableName::new(row.get::<String>(0)?, row.get::<String>(1)?);
        let relation = Relation { droppable: row.get(3)?, writable: row.get(4)?, owner: row.get(5)? };
        relations.insert(name, relation);
    }
    Ok(Facts { relations, control_schema: control_schema(session).await? })
}

/// The views of these schemas.
pub(super) async fn read_views(session: &mut Session, schemas: &[&str]) -> Result<BTreeSet<TableName>, PgError> {
    let schemas = schemas.to_vec();
    let rows = session.query(include_str!("sql/views.sql"), &[&schemas]).await?;
    rows.iter().map(|row| Ok(TableName { schema: row.get(0)?, name: row.get(1)? })).collect()
}

/// `moving` are all relations that the source would bring, tables and others.
pub(super) fn judge(
    facts: &Facts,
    tables: &Tables,
    moving: &BTreeSet<TableName>,
    role: &role::Facts,
    intent: Intent,
) -> Vec<Finding> {
    let mut findings = if intent.structure {
        judge_in_the_way(facts, moving, intent)
    } else {
        judge_needed(facts, tables, role)
    };
    if facts.control_schema && !intent.own_control_schema {
        let message = "the schema trunkline stands on the target, and is not this migration's: another one was \
                       begun there, and neither completed nor aborted";
        findings.push(
            Finding::blocker("control-schema", message)
                .about("trunkline")
                .mend("-- end that migration (trunkline complete, or abort), or: DROP SCHEMA trunkline CASCADE;"),
        );
    }
    findings.into_iter().map(|finding| finding.on(Side::Target)).collect()
}

fn judge_in_the_way(facts: &Facts, moving: &BTreeSet<TableName>, intent: Intent) -> Vec<Finding> {
    let colliding = facts.relations.iter().filter(|(name, _)| moving.contains(*name));
    let mut findings = if intent.drop_if_exists {
        each(colliding.filter(|(_, relation)| !relation.droppable), |(name, relation)| {
            let message = format!("the object is to be dropped first, and belongs to {}: our role may not", relation.owner);
            Finding::blocker("object-owner", message).about(name)
        })
    } else {
        each(colliding, |(name, _)| {
            let message = "an object of this name stands on the target already";
            Finding::blocker("object-exists", message)
                .about(name)
                .mend("-- drop it, leave it out of the plan, or run with --drop-if-exists")
        })
    };
    let others = facts.relations.keys().filter(|name| !moving.contains(*name)).count();
    if others > 0 {
        let message = format!("{} of the target are not the source's: they stay as they are", counted(others, "object"));
        findings.push(Finding::notice("target-not-empty", message));
    }
    findings
}

fn judge_needed(facts: &Facts, tables: &Tables, role: &role::Facts) -> Vec<Finding> {
    let needed = tables.list.iter().filter(|table| matches!(table.kind, Kind::Ordinary | Kind::Unlogged));
    let findings = needed.filter_map(|table| match facts.relations.get(&table.name) {
        None => {
            let message = "the plan says that the target's tables are there, and this one is not";
            Some(Finding::blocker("table-missing", message).about(&table.name))
        }
        Some(relation) if !relation.writable => {
            let message = "our role may not read and write this table of the target";
            Some(Finding::blocker("table-write", message).about(&table.name).mend(format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLE {} TO {};",
                table.name.quoted(),
                role.quoted()
            )))
        }
        Some(_) => None,
    });
    each(findings, |finding| finding)
}
