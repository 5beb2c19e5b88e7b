//! What server each side is: version, flavour, recovery, read-only, a pooler in between, and
//! whether both are the same database.

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{PgError, ServerVersion, Session, SqlState};

use super::Intent;
use super::finding::Finding;
use super::settings::Settings;

/// The versions that Trunkline is tested with, on both sides.
const MAJORS: std::ops::RangeInclusive<u32> = 12..=18;

/// Who runs the server: what is asked of an operator is said in that platform's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Plain,
    Rds,
    Aurora,
}

impl Platform {
    pub(super) fn is_aws(self) -> bool {
        matches!(self, Platform::Rds | Platform::Aurora)
    }
}

#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of a server, independent of each other"
)]
pub(super) struct Facts {
    pub version: ServerVersion,
    pub platform: Platform,
    pub citus: bool,
    /// Tables that Citus distributes; their rows are not on this server.
    pub distributed_tables: i64,
    pub database: String,
    pub in_recovery: bool,
    /// `None` when the provider hides it.
    pub system_id: Option<String>,
    pub started_at: String,
    /// Whether the backend that answers is the one that greeted us.
    pub direct: bool,
    /// Whether `default_transaction_read_only` is set for this database.
    pub database_read_only: bool,
    pub settings: Settings,
}

pub(super) async fn read(session: &mut Session) -> Result<Facts, PgError> {
    let row = session
        .query_one(include_str!("sql/server.sql"), &[])
        .await?;
    let (citus, rds, aurora): (bool, bool, bool) = (row.get(5)?, row.get(6)?, row.get(7)?);
    let system_id = match session
        .query_one(
            "SELECT system_identifier FROM pg_catalog.pg_control_system()",
            &[],
        )
        .await
    {
        Ok(row) => Some(row.get(0)?),
        Err(error) if error.sqlstate() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => None,
        Err(error) => return Err(error),
    };
    let distributed_tables = if citus {
        let count = "SELECT count(*) FROM pg_catalog.pg_dist_partition";
        session.query_one(count, &[]).await?.get(0)?
    } else {
        0
    };
    Ok(Facts {
        version: session.version(),
        platform: match (aurora, rds) {
            (true, _) => Platform::Aurora,
            (false, true) => Platform::Rds,
            (false, false) => Platform::Plain,
        },
        citus,
        distributed_tables,
        database: row.get(0)?,
        in_recovery: row.get(1)?,
        system_id,
        started_at: row.get(2)?,
        direct: row.get::<i32>(3)? == session.process_id(),
        database_read_only: row.get(4)?,
        settings: Settings::read(session).await?,
    })
}

/// The findings on both servers in general, and whether it makes sense to look further.
pub(super) fn judge(source: &Facts, target: &Facts, intent: Intent) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (side, facts) in [(Side::Source, source), (Side::Target, target)] {
        findings.extend(judge_one(side, facts, intent));
    }
    findings.extend(judge_pair(source, target));
    if target.version.major() < source.version.major() {
        findings.push(
            Finding::warning(
                "target-older",
                format!(
                    "the target ({}) is older than the source ({}): what only the newer version knows \
                     cannot be made there, and pg_dump's output is written for the newer one",
                    target.version, source.version
                ),
            )
            .on(Side::Target),
        );
    }
    findings
}

/// Whether a server is one that the other checks can be asked of.
pub(super) fn can_be_examined(source: &Facts, target: &Facts) -> bool {
    source.version.major() >= *MAJORS.start()
        && target.version.major() >= *MAJORS.start()
        && !same_database(source, target)
}

fn judge_one(side: Side, facts: &Facts, intent: Intent) -> Vec<Finding> {
    let mut findings = vec![version_finding(facts).on(side)];
    if !facts.direct {
        findings.push(
            Finding::blocker(
                "pooler",
                "a connection pooler stands in between: it cannot pass replication on, and settings of a \
                 session do not hold",
            )
            .on(side)
            .mend(format!("point the {side}'s conninfo at the server itself")),
        );
    }
    if facts.in_recovery && (side == Side::Target || intent.live) {
        let message = match side {
            Side::Source => {
                "the source is a standby: a publication can be made, sequences read back and writes \
                 fenced on the primary only"
            }
            Side::Target => "the target is a standby: nothing can be written there",
        };
        let remedy = format!("point the {side}'s conninfo at the primary");
        findings.push(
            Finding::blocker("in-recovery", message)
                .on(side)
                .mend(remedy),
        );
    }
    findings.extend(read_only_finding(side, facts).map(|finding| finding.on(side)));
    if side == Side::Source && facts.distributed_tables > 0 {
        let message = format!(
            "{} tables are distributed by Citus: their changes are made on the workers and are not in the \
             coordinator's stream",
            facts.distributed_tables
        );
        findings.push(if intent.live {
            Finding::blocker("citus-source", message).on(side)
        } else {
            Finding::warning("citus-source", message).on(side)
        });
    }
    findings
}

fn version_finding(facts: &Facts) -> Finding {
    let platform = match facts.platform {
        Platform::Plain => "",
        Platform::Rds => " on RDS",
        Platform::Aurora => " on Aurora",
    };
    let citus = if facts.citus { " with Citus" } else { "" };
    let what = format!("PostgreSQL {}{platform}{citus}", facts.version);
    if facts.version.major() < *MAJORS.start() {
        Finding::blocker(
            "version-unsupported",
            format!(
                "{what}: versions before {} are not supported",
                MAJORS.start()
            ),
        )
    } else if facts.version.major() > *MAJORS.end() {
        Finding::warning(
            "version-untested",
            format!("{what}: Trunkline is tested up to {}", MAJORS.end()),
        )
    } else {
        Finding::notice("server-version", what)
    }
}

/// Our own sessions say otherwise, but those of clients will not.
fn read_only_finding(side: Side, facts: &Facts) -> Option<Finding> {
    let name = "default_transaction_read_only";
    let remedy = if facts.database_read_only {
        format!(
            "ALTER DATABASE {} RESET {name};",
            quote_ident(&facts.database)
        )
    } else if facts.settings.is_on_for_others(name) {
        format!(
            "ALTER SYSTEM RESET {name}; SELECT pg_reload_conf(); -- unless it is set for our role only"
        )
    } else {
        return None;
    };
    let message = match side {
        Side::Source => {
            "transactions are read-only unless they say otherwise: an earlier fence that was not lifted?"
        }
        Side::Target => {
            "transactions are read-only unless they say otherwise: clients could not write after the switch"
        }
    };
    Some(
        Finding::warning("read-only", message)
            .about(name)
            .mend(remedy),
    )
}

/// The same postmaster and the same database. A physical copy has the system identifier of its
/// origin, so that alone says nothing; when it started tells a server from its copy.
fn same_database(source: &Facts, target: &Facts) -> bool {
    same_server(source, target) && source.database == target.database
}

fn same_server(source: &Facts, target: &Facts) -> bool {
    let ids_differ = matches!((&source.system_id, &target.system_id), (Some(a), Some(b)) if a != b);
    !ids_differ && source.started_at == target.started_at
}

fn judge_pair(source: &Facts, target: &Facts) -> Option<Finding> {
    if same_database(source, target) {
        let message = "source and target are the same database of the same server";
        return Some(Finding::blocker("same-database", message).about(&source.database));
    }
    same_server(source, target).then(|| {
        let message = "source and target are two databases of one server: it bears the load of both, and an \
                       open transaction in either holds up the making of the slot";
        Finding::notice("same-server", message)
    })
}

#[cfg(test)]
pub(super) fn example(version: u32) -> Facts {
    Facts {
        version: ServerVersion(version),
        platform: Platform::Plain,
        citus: false,
        distributed_tables: 0,
        database: "app".to_owned(),
        in_recovery: false,
        system_id: Some(version.to_string()),
        started_at: version.to_string(),
        direct: true,
        database_read_only: false,
        settings: Settings::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;
    use crate::checks::intent_of_a_live_move;

    fn grave(source: &Facts, target: &Facts) -> Vec<&'static str> {
        judge(source, target, intent_of_a_live_move())
            .into_iter()
            .filter(|finding| finding.severity != Severity::Notice)
            .map(|finding| finding.code)
            .collect()
    }

    #[test]
    fn every_supported_pair_is_fine_and_an_older_target_is_a_warning() {
        assert!(grave(&example(120_022), &example(180_004)).is_empty());
        assert_eq!(
            grave(&example(170_010), &example(120_022)),
            ["target-older"]
        );
        assert_eq!(
            grave(&example(110_022), &example(180_004)),
            ["version-unsupported"]
        );
        assert_eq!(
            grave(&example(150_018), &example(190_000)),
            ["version-untested"]
        );
    }

    #[test]
    fn a_physical_copy_is_not_the_same_database_but_the_same_postmaster_is() {
        let source = example(150_018);
        let mut copy = example(150_018);
        assert_eq!(grave(&source, &copy), ["same-database"]);
        assert!(!can_be_examined(&source, &copy));
        copy.started_at = "later".to_owned();
        assert!(grave(&source, &copy).is_empty());
        let mut neighbour = example(150_018);
        neighbour.database = "other".to_owned();
        assert!(grave(&source, &neighbour).is_empty());
        assert!(judge_pair(&source, &neighbour).is_some());
    }

    #[test]
    fn a_hidden_identifier_does_not_hide_that_the_database_is_the_same() {
        let (mut source, target) = (example(150_018), example(150_018));
        source.system_id = None;
        assert_eq!(grave(&source, &target), ["same-database"]);
    }

    #[test]
    fn a_standby_blocks_and_a_read_only_database_is_a_warning() {
        let (source, mut target) = (example(150_018), example(160_014));
        target.in_recovery = true;
        assert_eq!(grave(&source, &target), ["in-recovery"]);
        target.in_recovery = false;
        target.settings = Settings::of(&[("default_transaction_read_only", "on", "")]);
        let remedy = |target: &Facts| {
            let findings = judge(&source, target, intent_of_a_live_move());
            let finding = findings
                .into_iter()
                .find(|finding| finding.code == "read-only")
                .expect("found");
            assert_eq!(finding.severity, Severity::Warning);
            finding.remedy.expect("it says what mends it")
        };
        assert!(remedy(&target).starts_with("ALTER SYSTEM RESET"));
        target.database_read_only = true;
        assert_eq!(
            remedy(&target),
            "ALTER DATABASE \"app\" RESET default_transaction_read_only;"
        );
    }

    #[test]
    fn a_standby_may_be_copied_at_rest_but_not_followed() {
        let (mut source, target) = (example(150_018), example(160_014));
        source.in_recovery = true;
        assert_eq!(grave(&source, &target), ["in-recovery"]);
        let at_rest = Intent {
            live: false,
            ..intent_of_a_live_move()
        };
        assert!(
            !judge(&source, &target, at_rest)
                .iter()
                .any(|f| f.code == "in-recovery")
        );
    }

    #[test]
    fn a_pooler_and_distributed_tables_block() {
        let (mut source, target) = (example(150_018), example(160_014));
        source.direct = false;
        source.distributed_tables = 2;
        assert_eq!(grave(&source, &target), ["pooler", "citus-source"]);
    }
}
