//! The roles that own or were granted what moves: they must exist on the target, and our role
//! must be able to give objects to the owners and to act for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{PgError, Session};

use super::finding::{Finding, Severity, all_on};
use super::listing::{each, joined};
use super::report::counted;
use super::tables::Tables;
use super::{Intent, role};

/// What a role of the source has to do with what moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub superuser: bool,
    /// Whether it owns something, rather than only being granted something.
    pub owns: bool,
    /// Whether a table in scope is the reason, rather than another object beside it.
    pub by_table: bool,
    /// How many objects, and one of them.
    pub objects: i64,
    pub example: String,
}

/// A role of the target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub superuser: bool,
    pub has_its_rights: bool,
    pub may_give: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub parts: BTreeMap<String, Part>,
    pub known: BTreeMap<String, Known>,
    /// Schemas of the target: whether we may create there, and which owners may.
    pub schemas: BTreeMap<String, (bool, BTreeSet<String>)>,
}

pub(super) async fn read_source(
    session: &mut Session,
    tables: &Tables,
) -> Result<BTreeMap<String, Part>, PgError> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for table in &tables.list {
        let owner = parts.entry(table.owner.to_string()).or_default();
        owner.owns = true;
        owner.superuser = table.owner_is_superuser;
        owner.count_table(&table.name.to_string());
        for grantee in &*table.grantees {
            parts
                .entry(grantee.clone())
                .or_default()
                .count_table(&table.name.to_string());
        }
    }
    let schemas = tables.schemas();
    for row in session
        .query(include_str!("sql/roles.sql"), &[&schemas])
        .await?
    {
        let part = parts.entry(row.get(0)?).or_default();
        part.owns |= row.get::<bool>(1)?;
        part.superuser = row.get(2)?;
        part.objects += row.get::<i64>(4)?;
        if part.example.is_empty() {
            part.example = row.get(3)?;
        }
    }
    Ok(parts)
}

impl Part {
    fn count_table(&mut self, name: &str) {
        self.by_table = true;
        self.objects += 1;
        if self.example.is_empty() {
            name.clone_into(&mut self.example);
        }
    }
}

pub(super) async fn read_target(
    session: &mut Session,
    parts: BTreeMap<String, Part>,
    tables: &Tables,
) -> Result<Facts, PgError> {
    let names: Vec<&str> = parts.keys().map(String::as_str).collect();
    let mut known = BTreeMap::new();
    for row in session
        .query(include_str!("sql/target_roles.sql"), &[&names])
        .await?
    {
        let role = Known {
            superuser: row.get(1)?,
            has_its_rights: row.get(2)?,
            may_give: row.get(3)?,
        };
        known.insert(row.get(0)?, role);
    }
    let mut schemas = BTreeMap::new();
    let wanted = tables.schemas();
    for row in session
        .query(include_str!("sql/target_schemas.sql"), &[&wanted, &names])
        .await?
    {
        let creators: Vec<String> = row.get(2)?;
        schemas.insert(row.get(0)?, (row.get(1)?, creators.into_iter().collect()));
    }
    Ok(Facts {
        parts,
        known,
        schemas,
    })
}

pub(super) fn judge(
    facts: &Facts,
    tables: &Tables,
    role: &role::Facts,
    intent: Intent,
) -> Vec<Finding> {
    if !intent.structure {
        return Vec::new();
    }
    let mut findings = judge_missing(facts, tables, intent);
    if !intent.no_owner {
        findings.extend(judge_membership(facts, tables, role));
    }
    findings.extend(judge_schemas(facts, tables, role, intent));
    all_on(findings, Side::Target)
}

/// An object beside the tables only counts for sure when the whole database moves.
fn severity(part: &Part, tables: &Tables) -> Severity {
    if part.by_table || tables.complete {
        Severity::Blocker
    } else {
        Severity::Warning
    }
}

fn judge_missing(facts: &Facts, tables: &Tables, intent: Intent) -> Vec<Finding> {
    let missing = facts.parts.iter().filter(|(name, part)| {
        let moves = if part.owns {
            !intent.no_owner
        } else {
            !intent.no_privileges
        };
        moves && !facts.known.contains_key(*name)
    });
    each(missing, |(name, part)| {
        let does = if part.owns {
            "owns"
        } else {
            "was granted rights on"
        };
        let message = format!(
            "the role does not exist on the target, and {does} {} of the source, {} among them",
            counted(
                usize::try_from(part.objects).unwrap_or(usize::MAX),
                "object"
            ),
            part.example
        );
        let mut finding = Finding::blocker("role-missing", message).about(name);
        finding.severity = severity(part, tables);
        if name.starts_with("pg_") {
            // The server's own roles of a later version: nobody can make them.
            finding.severity = Severity::Warning;
            finding
        } else {
            finding.mend(format!("CREATE ROLE {} NOLOGIN;", quote_ident(name)))
        }
    })
}

fn judge_membership(facts: &Facts, tables: &Tables, role: &role::Facts) -> Vec<Finding> {
    let strangers = facts.parts.iter().filter_map(|(name, part)| {
        let known = facts.known.get(name)?;
        let stranger = part.owns && !(known.has_its_rights && known.may_give);
        stranger.then_some((name, part, known))
    });
    each(strangers, |(name, part, known)| {
        let message = format!(
            "objects are to belong to this role on the target ({}, for one), and our role may not give it any, or \
             not act for it afterwards",
            part.example
        );
        let mut finding = Finding::blocker("owner-membership", message).about(name);
        finding.severity = severity(part, tables);
        finding.mend(if known.superuser {
            format!(
                "-- {name} is a superuser of the target, and membership in it would hand over the server:\n\
                 -- give the objects to a plain role on the source first, or restore as {name}"
            )
        } else {
            format!("GRANT {} TO {};", quote_ident(name), role.quoted())
        })
    })
}

/// Objects are made in a schema by our role and given to their owners, who must both be allowed
/// to make objects there.
fn judge_schemas(
    facts: &Facts,
    tables: &Tables,
    role: &role::Facts,
    intent: Intent,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut owners_in: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for table in &tables.list {
        let owners = owners_in.entry(&table.name.schema).or_default();
        owners.insert(&table.owner);
    }
    for (schema, (ours, creators)) in &facts.schemas {
        if !ours {
            let remedy = format!(
                "GRANT USAGE, CREATE ON SCHEMA {} TO {};",
                quote_ident(schema),
                role.quoted()
            );
            let message = "our role may not make objects in this schema of the target";
            findings.push(
                Finding::blocker("schema-create", message)
                    .about(schema)
                    .mend(remedy),
            );
        }
        let mut owners: Vec<&str> = match owners_in.get(schema.as_str()) {
            Some(owners) if !intent.no_owner => owners.iter().copied().collect(),
            _ => Vec::new(),
        };
        owners.retain(|owner| facts.known.contains_key(*owner) && !creators.contains(*owner));
        if !owners.is_empty() {
            let quoted: Vec<_> = owners.iter().map(|owner| quote_ident(owner)).collect();
            let message = format!(
                "tables of this schema are to belong to {}, who may not hold any there",
                joined(&owners)
            );
            let remedy = format!(
                "GRANT CREATE ON SCHEMA {} TO {};",
                quote_ident(schema),
                quoted.join(", ")
            );
            findings.push(
                Finding::blocker("owner-schema-create", message)
                    .about(schema)
                    .mend(remedy),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests;
