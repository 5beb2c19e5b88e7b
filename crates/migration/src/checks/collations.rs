//! Encoding and collations. Every index of the target is built there, so another collation or
//! version of one is no corruption; but order, ranges and uniqueness by text may differ. Stale
//! versions on the source are graver: its own indexes may be wrong already.

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{PgError, Session};

use super::Intent;
use super::finding::Finding;
use super::listing::each;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Locale {
    pub encoding: String,
    pub collate: String,
    pub ctype: String,
    /// `c` (the C library), `i` (ICU) or `b` (built in).
    pub provider: String,
    /// ICU's or PostgreSQL's own name of it, where the C library does not provide it.
    pub named: String,
    /// The version that the indexes were built with, and the one that is in use now.
    pub recorded: Option<String>,
    pub actual: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Collation {
    pub schema: String,
    pub name: String,
    pub recorded: Option<String>,
    pub actual: Option<String>,
}

pub(super) async fn read_locale(session: &mut Session) -> Result<Locale, PgError> {
    let row = session
        .query_one(include_str!("sql/locale.sql"), &[])
        .await?;
    let actual = if session.version().major() >= 15 {
        session
            .query_one(include_str!("sql/locale_version_15.sql"), &[])
            .await?
            .get(0)?
    } else {
        None
    };
    Ok(Locale {
        encoding: row.get(0)?,
        collate: row.get(1)?,
        ctype: row.get(2)?,
        provider: row.get(3)?,
        named: row.get(4)?,
        recorded: row.get(5)?,
        actual,
    })
}

pub(super) async fn read_used(
    session: &mut Session,
    schemas: &[&str],
) -> Result<Vec<Collation>, PgError> {
    collations(
        session,
        include_str!("sql/collations.sql"),
        &[&schemas.to_vec()],
    )
    .await
}

pub(super) async fn read_target(
    session: &mut Session,
    used: &[Collation],
) -> Result<Vec<Collation>, PgError> {
    let schemas: Vec<&str> = used
        .iter()
        .map(|collation| collation.schema.as_str())
        .collect();
    let names: Vec<&str> = used
        .iter()
        .map(|collation| collation.name.as_str())
        .collect();
    collations(
        session,
        include_str!("sql/target_collations.sql"),
        &[&schemas, &names],
    )
    .await
}

async fn collations(
    session: &mut Session,
    sql: &str,
    params: &[&dyn trunkline_postgres::ToParam],
) -> Result<Vec<Collation>, PgError> {
    let rows = session.query(sql, params).await?;
    rows.iter()
        .map(|row| {
            Ok(Collation {
                schema: row.get(0)?,
                name: row.get(1)?,
                recorded: row.get(2)?,
                actual: row.get(3)?,
            })
        })
        .collect()
}

/// Findings on the databases' own encoding and locale.
pub(super) fn judge_locales(
    [source, target]: [&Locale; 2],
    databases: [&String; 2],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(judge_encoding(&source.encoding, &target.encoding));
    if shown(source) != shown(target) {
        let message = format!(
            "the source's default collation is {}, the target's {}: order, ranges and case of text may differ",
            shown(source),
            shown(target)
        );
        findings.push(Finding::warning("database-locale", message).on(Side::Target));
    } else if let (Some(ours), Some(theirs)) = (&source.actual, &target.actual)
        && ours != theirs
    {
        let message = format!(
            "the default collation is of version {ours} on the source and {theirs} on the target: order of text may \
             differ; indexes are built anew, so they are not affected"
        );
        findings.push(Finding::notice("collation-version", message).on(Side::Target));
    }
    for (side, locale, database) in [
        (Side::Source, source, databases[0]),
        (Side::Target, target, databases[1]),
    ] {
        if let (Some(recorded), Some(actual)) = (&locale.recorded, &locale.actual)
            && recorded != actual
        {
            findings.push(stale(side, recorded, actual, database).about(database).mend(format!(
                "REINDEX DATABASE {database}; ALTER DATABASE {database} REFRESH COLLATION VERSION;",
                database = quote_ident(database)
            )));
        }
    }
    findings
}

fn stale(side: Side, recorded: &str, actual: &str, what: &str) -> Finding {
    let message = format!(
        "indexes were built with version {recorded} of the collation of {what}, and the server uses {actual} now: \
         an index on text may miss rows, and a unique one may have let duplicates in"
    );
    Finding::warning("collation-stale", message).on(side)
}

/// Names of one locale are spelled in several ways (`en_US.UTF-8`, `en_US.utf8`).
fn spelled(locale: &str) -> String {
    match locale.split_once('.') {
        Some((language, codeset)) => {
            format!("{language}.{}", codeset.to_lowercase().replace('-', ""))
        }
        None => locale.to_owned(),
    }
}

fn shown(locale: &Locale) -> String {
    let (collate, ctype) = (spelled(&locale.collate), spelled(&locale.ctype));
    match locale.provider.as_str() {
        "i" => format!("{} of ICU", locale.named),
        "b" => format!("{} (built in)", locale.named),
        _ if collate == ctype => collate,
        _ => format!("{collate} with character types of {ctype}"),
    }
}

fn judge_encoding(source: &str, target: &str) -> Option<Finding> {
    if source == target {
        return None;
    }
    let pair = format!("the source's encoding is {source}, the target's {target}");
    let finding = if source == "SQL_ASCII" {
        let message =
            format!("{pair}: what bytes the source holds is not known, and some will be refused");
        Finding::blocker("encoding", message)
    } else if target == "UTF8" {
        Finding::warning(
            "encoding",
            format!("{pair}: text is converted, and longer in bytes"),
        )
    } else if target == "SQL_ASCII" {
        Finding::warning(
            "encoding",
            format!("{pair}: the target will hold UTF8 without checking it"),
        )
    } else {
        Finding::blocker(
            "encoding",
            format!("{pair}: characters that it does not have will be refused"),
        )
    };
    Some(finding.on(Side::Target).mend(format!(
        "-- make the target database anew: CREATE DATABASE … TEMPLATE template0 ENCODING '{source}';"
    )))
}

/// Findings on the collations that columns use by name.
pub(super) fn judge_used(used: &[Collation], target: &[Collation], intent: Intent) -> Vec<Finding> {
    let mut findings = Vec::new();
    for collation in used {
        let name = format!(
            "{}.{}",
            quote_ident(&collation.schema),
            quote_ident(&collation.name)
        );
        if let (Some(recorded), Some(actual)) = (&collation.recorded, &collation.actual)
            && recorded != actual
        {
            let remedy = format!(
                "ALTER COLLATION {name} REFRESH VERSION; -- after REINDEX of the indexes that use it"
            );
            findings.push(
                stale(Side::Source, recorded, actual, &name)
                    .about(&name)
                    .mend(remedy),
            );
        }
        let there = target
            .iter()
            .find(|other| (&other.schema, &other.name) == (&collation.schema, &collation.name));
        let found = match there {
            Some(there) => judge_version(collation, there),
            None => judge_absent(collation, intent),
        };
        findings.extend(found.map(|finding| finding.on(Side::Target).about(&name)));
    }
    each(findings, |finding| finding)
}

fn judge_version(ours: &Collation, theirs: &Collation) -> Option<Finding> {
    let (ours, theirs) = (ours.actual.as_ref()?, theirs.actual.as_ref()?);
    let message =
        format!("the collation is of version {ours} on the source and {theirs} on the target");
    (ours != theirs).then(|| Finding::notice("collation-version", message))
}

/// Collations in schemas of users move with the structure; the system's do not.
fn judge_absent(collation: &Collation, intent: Intent) -> Option<Finding> {
    let message = "a column of the source uses this collation, which the target does not have";
    if collation.schema == "pg_catalog" {
        return Some(Finding::blocker("collation-missing", message).mend(
            "-- install the locale on the target's machine, then as a superuser:\n\
             SELECT pg_import_system_collations('pg_catalog');",
        ));
    }
    (!intent.structure).then(|| Finding::warning("collation-missing", message))
}

#[cfg(test)]
mod tests {
    use super::super::{Intent, intent_of_a_live_move};
    use super::{Collation, Locale, judge_encoding, judge_locales, judge_used};
    use crate::checks::{Finding, Severity};

    fn locale(collate: &str) -> Locale {
        Locale {
            encoding: "UTF8".to_owned(),
            collate: collate.to_owned(),
            ctype: collate.to_owned(),
            provider: "c".to_owned(),
            named: String::new(),
            recorded: Some("2.36".to_owned()),
            actual: Some("2.36".to_owned()),
        }
    }

    fn locales(source: &Locale, target: &Locale) -> Vec<&'static str> {
        let databases = [&"a".to_owned(), &"b".to_owned()];
        codes(&judge_locales([source, target], databases))
    }

    fn codes(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn one_locale_in_two_spellings_is_the_same() {
        assert!(locales(&locale("en_US.UTF-8"), &locale("en_US.utf8")).is_empty());
        assert_eq!(
            locales(&locale("en_US.UTF-8"), &locale("C")),
            ["database-locale"]
        );
        let icu = Locale {
            provider: "i".to_owned(),
            named: "en-US".to_owned(),
            ..locale("en_US.utf8")
        };
        assert_eq!(locales(&locale("en_US.UTF-8"), &icu), ["database-locale"]);
        assert!(locales(&icu, &icu).is_empty());
    }

    #[test]
    fn a_version_that_differs_is_noted_and_a_stale_one_is_a_warning() {
        let newer = Locale {
            recorded: Some("2.41".to_owned()),
            actual: Some("2.41".to_owned()),
            ..locale("en_US.utf8")
        };
        assert_eq!(
            locales(&locale("en_US.utf8"), &newer),
            ["collation-version"]
        );
        let stale = Locale {
            recorded: Some("2.28".to_owned()),
            ..locale("en_US.utf8")
        };
        assert_eq!(locales(&stale, &locale("en_US.utf8")), ["collation-stale"]);
        let unknown = Locale {
            recorded: None,
            actual: None,
            ..locale("en_US.utf8")
        };
        assert!(locales(&unknown, &newer).is_empty());
    }

    #[test]
    fn an_encoding_that_loses_characters_blocks() {
        let severity =
            |source, target| judge_encoding(source, target).map(|finding| finding.severity);
        assert_eq!(severity("UTF8", "UTF8"), None);
        assert_eq!(severity("LATIN1", "UTF8"), Some(Severity::Warning));
        assert_eq!(severity("UTF8", "SQL_ASCII"), Some(Severity::Warning));
        assert_eq!(severity("UTF8", "LATIN1"), Some(Severity::Blocker));
        assert_eq!(severity("SQL_ASCII", "UTF8"), Some(Severity::Blocker));
    }

    #[test]
    fn a_collation_of_the_system_must_be_there_and_a_users_moves_along() {
        let collation = |schema: &str, version: &str| Collation {
            schema: schema.to_owned(),
            name: "de".to_owned(),
            recorded: Some("1".to_owned()),
            actual: Some(version.to_owned()),
        };
        let live = intent_of_a_live_move();
        let system = [collation("pg_catalog", "1")];
        assert_eq!(
            codes(&judge_used(&system, &[], live)),
            ["collation-missing"]
        );
        assert_eq!(judge_used(&system, &system, live), []);
        assert_eq!(judge_used(&[collation("public", "1")], &[], live), []);
        let present = Intent {
            structure: false,
            ..live
        };
        let findings = judge_used(&[collation("public", "1")], &[], present);
        assert_eq!(findings[0].severity, Severity::Warning);
        let newer = [collation("pg_catalog", "2")];
        assert_eq!(
            codes(&judge_used(&system, &newer, live)),
            ["collation-version"]
        );
        assert_eq!(
            codes(&judge_used(&newer, &newer, live)),
            ["collation-stale"]
        );
    }
}
