//! Whether the `pg_dump` that was found can read this source for this target.

use trunkline_changes::Side;
use trunkline_postgres::{PgError, Session};

use super::finding::Finding;
use super::{Intent, PgDump, server};

/// Whether the source stamps its columns.
pub(super) async fn read_stamps(session: &mut Session, schemas: &[&str]) -> Result<bool, PgError> {
    let schemas = schemas.to_vec();
    session
        .query_one(include_str!("sql/server_stamps.sql"), &[&schemas])
        .await?
        .get(0)
}

pub(super) fn judge(
    source: &server::Facts,
    target: &server::Facts,
    pg_dump: Option<&PgDump>,
    server_stamps: bool,
    intent: Intent,
) -> Vec<Finding> {
    if !intent.structure {
        return Vec::new();
    }
    let (source, target) = (source.version, target.version);
    let package = format!(
        "-- install PostgreSQL's client programs, version {} or later",
        source.major()
    );
    let Some(pg_dump) = pg_dump else {
        let message = "no pg_dump was found on this machine: the structure cannot be read";
        return vec![Finding::blocker("pg-dump-missing", message).mend(package)];
    };
    let (path, version) = (pg_dump.path.display(), pg_dump.version);
    if version.major() < source.major() {
        let message = format!(
            "pg_dump {version} refuses a server that is newer than itself, and the source is {source}"
        );
        return vec![
            Finding::blocker("pg-dump-older", message)
                .about(path)
                .mend(package),
        ];
    }
    let mut findings = Vec::new();
    if version.major() > target.major() {
        let message = format!(
            "pg_dump {version} writes for servers of its own version: what the target ({target}) does not know is \
             filtered where that is harmless, and fails otherwise"
        );
        findings.push(Finding::notice("pg-dump-newer", message).about(path));
    }
    if server_stamps && (version.major(), version.minor()) != (source.major(), source.minor()) {
        let message = format!(
            "the source stamps columns with options of its own, and pg_dump {version} is not of its release \
             ({source}): it may write them into the structure, from where they are filtered"
        );
        findings.push(
            Finding::notice("pg-dump-stamps", message)
                .on(Side::Source)
                .about(pg_dump.path.display()),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::{Intent, PgDump, intent_of_a_live_move, server};
    use super::judge;
    use trunkline_postgres::ServerVersion;

    fn codes(source: u32, target: u32, pg_dump: Option<u32>, stamps: bool) -> Vec<&'static str> {
        let pg_dump = pg_dump.map(|version| PgDump {
            path: "/usr/bin/pg_dump".into(),
            version: ServerVersion(version),
        });
        judge(
            &server::example(source),
            &server::example(target),
            pg_dump.as_ref(),
            stamps,
            intent_of_a_live_move(),
        )
        .into_iter()
        .map(|finding| finding.code)
        .collect()
    }

    #[test]
    fn pg_dump_must_be_there_and_not_older_than_the_source() {
        assert_eq!(codes(150_018, 160_014, None, false), ["pg-dump-missing"]);
        assert_eq!(
            codes(160_014, 170_010, Some(150_020), false),
            ["pg-dump-older"]
        );
        assert!(codes(150_018, 180_004, Some(180_004), false).is_empty());
        assert_eq!(
            codes(120_022, 150_018, Some(180_004), false),
            ["pg-dump-newer"]
        );
    }

    #[test]
    fn stamps_of_the_server_are_noted_unless_pg_dump_is_of_its_release() {
        assert_eq!(
            codes(150_020, 160_014, Some(160_014), true),
            ["pg-dump-stamps"]
        );
        assert!(codes(150_020, 160_014, Some(150_020), true).is_empty());
    }

    #[test]
    fn no_pg_dump_is_needed_where_the_tables_are_there() {
        let intent = Intent {
            structure: false,
            ..intent_of_a_live_move()
        };
        let server = server::example(150_018);
        assert!(judge(&server, &server, None, true, intent).is_empty());
    }
}
