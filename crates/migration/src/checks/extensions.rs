//! The source's extensions: there on the target, in the same version, and possible to make.

use std::collections::BTreeMap;

use trunkline_changes::{Side, quote_ident, quote_literal};
use trunkline_postgres::{PgError, Session};

use super::finding::Finding;
use super::listing::each;
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
    let rows = session
        .query(include_str!("sql/extensions.sql"), &[])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Extension {
                name: row.get(0)?,
                version: row.get(1)?,
                schema: row.get(2)?,
            })
        })
        .collect()
}

pub(super) async fn read_target(
    session: &mut Session,
    wanted: &[Extension],
) -> Result<BTreeMap<String, Available>, PgError> {
    let names: Vec<&str> = wanted
        .iter()
        .map(|extension| extension.name.as_str())
        .collect();
    let rows = session
        .query(include_str!("sql/available_extensions.sql"), &[&names])
        .await?;
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
    let findings = wanted
        .iter()
        .flat_map(|extension| match target.get(&extension.name) {
            None => vec![missing(extension, intent)],
            Some(available) => judge_available(extension, available, role, intent),
        });
    each(findings, |finding| finding.on(Side::Target))
}

fn missing(extension: &Extension, intent: Intent) -> Finding {
    let Extension { name, version, .. } = extension;
    let message = format!(
        "the source has the extension {name} {version}, and the target's server does not know it"
    );
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
    let Extension { name, version, .. } = extension;
    let mut findings = Vec::new();
    let there = available.installed.as_ref();
    let to_be = there.unwrap_or(&available.default);
    if to_be != version {
        let message = format!(
            "the source has {name} {version}, and the target {} {to_be}",
            match there {
                Some(_) => "has",
                None => "would make",
            }
        );
        let finding = Finding::warning("extension-version", message).about(name);
        findings.push(if !available.versions.contains(version) {
            finding
        } else if there.is_some() {
            finding.mend(format!(
                "ALTER EXTENSION {} UPDATE TO {};",
                quote_ident(name),
                quote_literal(version)
            ))
        } else {
            finding.mend(create(extension, Some(version)))
        });
    }
    if intent.structure && there.is_none() && available.needs_superuser && !role.administers() {
        let message = format!(
            "the target does not have the extension {name} yet, and making it takes an administrator, which our \
             role is not"
        );
        let finding = Finding::blocker("extension-create", message).about(name);
        findings.push(finding.mend(create(extension, None)));
    }
    findings
}

fn create(extension: &Extension, version: Option<&String>) -> String {
    let Extension { name, schema, .. } = extension;
    let version = version
        .map(|version| format!(" VERSION {}", quote_literal(version)))
        .unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::super::{Intent, intent_of_a_live_move, role};
    use super::{Available, Extension, judge};
    use crate::checks::Finding;

    fn run(available: Option<Available>, role: &role::Facts, intent: Intent) -> Vec<Finding> {
        let wanted = Extension {
            name: "hstore".to_owned(),
            version: "1.7".to_owned(),
            schema: "ext".to_owned(),
        };
        let target = available
            .into_iter()
            .map(|available| ("hstore".to_owned(), available))
            .collect();
        judge(&[wanted], &target, role, intent)
    }

    fn available() -> Available {
        Available {
            default: "1.7".to_owned(),
            installed: None,
            needs_superuser: false,
            versions: vec!["1.6".to_owned(), "1.7".to_owned()],
        }
    }

    fn codes(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_trusted_extension_of_the_same_version_is_no_finding() {
        assert_eq!(
            run(Some(available()), &role::example(), intent_of_a_live_move()),
            []
        );
    }

    #[test]
    fn an_unknown_extension_blocks() {
        let findings = run(None, &role::example(), intent_of_a_live_move());
        assert_eq!(codes(&findings), ["extension-missing"]);
    }

    #[test]
    fn an_extension_for_administrators_blocks_until_it_is_made() {
        let untrusted = || Available {
            needs_superuser: true,
            ..available()
        };
        let findings = run(Some(untrusted()), &role::example(), intent_of_a_live_move());
        assert_eq!(codes(&findings), ["extension-create"]);
        assert_eq!(
            findings[0].remedy.as_deref(),
            Some(
                "CREATE SCHEMA IF NOT EXISTS \"ext\";\nCREATE EXTENSION IF NOT EXISTS \"hstore\" WITH SCHEMA \"ext\";"
            )
        );
        let there = Available {
            installed: Some("1.7".to_owned()),
            ..untrusted()
        };
        assert_eq!(
            run(Some(there), &role::example(), intent_of_a_live_move()),
            []
        );
        let administrator = role::Facts {
            superuser: true,
            ..role::example()
        };
        assert_eq!(
            run(Some(untrusted()), &administrator, intent_of_a_live_move()),
            []
        );
        let present = Intent {
            structure: false,
            ..intent_of_a_live_move()
        };
        assert_eq!(run(Some(untrusted()), &role::example(), present), []);
    }

    #[test]
    fn another_version_is_a_warning_with_the_way_to_the_same_one() {
        let older = Available {
            default: "1.6".to_owned(),
            ..available()
        };
        let findings = run(Some(older), &role::example(), intent_of_a_live_move());
        assert_eq!(codes(&findings), ["extension-version"]);
        assert!(
            findings[0]
                .remedy
                .as_deref()
                .is_some_and(|sql| sql.ends_with("VERSION '1.7';"))
        );
        let installed = Available {
            installed: Some("1.6".to_owned()),
            ..available()
        };
        let findings = run(Some(installed), &role::example(), intent_of_a_live_move());
        assert_eq!(
            findings[0].remedy.as_deref(),
            Some("ALTER EXTENSION \"hstore\" UPDATE TO '1.7';")
        );
        let unreachable = Available {
            default: "1.8".to_owned(),
            versions: vec!["1.8".to_owned()],
            ..available()
        };
        assert_eq!(
            run(Some(unreachable), &role::example(), intent_of_a_live_move())[0].remedy,
            None
        );
    }
}
