//! The source's extensions: there on the target, in the same version, and possible to make.

use std::collections::BTreeMap;

use trunkline_changes::{Side, quote_ident, quote_literal};
use trunkline_postgres::{PgError, Session};

use super::finding::Finding;
use super::listing::{each, joined};
use super::{Intent, role};

#[derive(Clone, Debug)]
pub(super) struct Extension {
    pub name: String,
    pub version: String,
    pub schema: String,
}

/// An extension that the target could have.
#[derive(Clone, Debug)]
pub(super) struct Available {
    pub default: String,
    pub installed: Option<String>,
    pub needs_superuser: bool,
    pub versions: Vec<String>,
}

pub(super) async fn read_source(session: &mut Session) -> Result<Vec<Extension>, PgError> {
    let rows = session.query(include_str!("sql/extensions.sql"), &[]).await?;
    rows.iter()
        .map(|row| Ok(Extension { name: row.get(0)?, version: row.get(1)?, schema: row.get(2)? }))
        .collect()
}

pub(super) async fn read_target(
    session: &mut Session,
    wanted: &[Extension],
) -> Result<BTreeMap<String, Available>, PgError> {
    let names: Vec<&str> = wanted.iter().map(|extension| extension.name.as_str()).collect();
    let rows = session.query(include_str!("sql/available_extensions.sql"), &[&names]).await?;
    rows.iter()
        .map(|row| {
            let available = Available {
                default: row.get(1)?,
                installed: row.get(2)?,
                needs_superuser: row.get(3)?,
                versions: row.get(4)?,
            };
            Ok((row.get(0)?, available))
        })
        .collect()
}

pub(super) fn judge(
    wanted: &[Extension],
    target: &BTreeMap<String, Available>,
    role: &role::Facts,
    intent: Intent,
) -> Vec<Finding> {
    let findings = wanted.iter().flat_map(|extension| match target.get(&extension.name) {
        None => vec![missing(extension, intent)],
        Some(available) => judge_available(extension, available, role, intent),
    });
    each(findings, |finding| finding.on(Side::Target))
}

fn missing(extension: &Extension, intent: Intent) -> Finding {
    let Extension { name, version, .. } = extension;
    let message = format!("the source has the extension {name} {version}, and the target's server does not know it");
    let finding = if intent.structure {
        Finding::blocker("extension-missing", message)
    } else {
        Finding::warning("extension-missing", message)
    };
    finding.about(name).mend(format!(
        "-- install {name}'s package on the target's machine,\n\
         -- or, if nothing uses it, on the source: DROP EXTENSION {};",
        quote_ident(name)
    ))
}

fn judge_available(
    extension: &Extension,
    available: &Available,
    role: &role::Facts,
    intent: Intent,
) -> Vec<Finding> {
    let Extension { name, version, schema } = extension;
    let mut findings = Vec::new();
    let there = available.installed.as_ref();
    let to_be = there.unwrap_or(&available.default);
    if to_be != version {
        let message = format!("the source has {name} {version}, and the target {} {to_be}", match there {
            Some(_) => "has",
            None => "would make",
        });
        let finding = Finding::warning("extension-version", message).about(name);
        findings.push(if !available.versions.contains(version) {
            finding
        } else if there.is_some() {
            finding.mend(format!("ALTER EXTENSION {} UPDATE TO {};", quote_ident(name), quote_literal(version)))
        } else {
            finding.mend(create(extension, Some(version)))
        });
    }
    if intent.structure && there.is_none() && available.needs_superuser && !role.administers() {
        let message = format!(
            "making the extension {name} takes an administrator, which our role is not (schema {schema}, for {})",
            joined(&[version])
        );
        let finding = Finding::blocker("extension-create", message).about(name);
        findings.push(finding.mend(create(extension, None)));
    }
    findings
}

fn create(extension: &Extension, version: Option<&String>) -> String {
    let Extension { name, schema, .. } = extension;
    let version = version.map(|version| format!(" VERSION {}", quote_literal(version))).unwrap_or_default();
    let make_schema = if matches!(schema.as_str(), "public" | "pg_catalog") {
        String::new()
    } else {
        format!("CREATE SCHEMA IF NOT EXISTS {};\n", quote_ident(schema))
    };
    format!(
        "{make_schema}CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {}{version};",
        quote_ident(name),
        quote_ident(schema)
    )
}
