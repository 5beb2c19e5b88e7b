//! The rules on rights, without a server.

use trunkline_changes::TableName;
use trunkline_postgres::ServerVersion;

use super::super::settings::Settings;
use super::super::tables::{Table, Tables, example, examples};
use super::super::{Intent, intent_of_a_live_move, role, server};
use super::{Publication, judge_source, judge_target};
use crate::checks::{Finding, Severity};

fn powerless() -> role::Facts {
    role::Facts {
        replication: false,
        reads_all_stats: false,
        signals_backends: false,
        creates_in_database: false,
        owns_database: false,
        connects_to_maintenance: false,
        sets_replica_role: false,
        ..role::example()
    }
}

fn on_source(
    role: &role::Facts,
    tables: &Tables,
    publication: Option<&Publication>,
    intent: Intent,
) -> Vec<Finding> {
    judge_source(role, &server::example(150_018), tables, publication, intent)
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

fn remedy<'a>(findings: &'a [Finding], code: &str) -> &'a str {
    let finding = findings
        .iter()
        .find(|finding| finding.code == code)
        .expect("the finding is there");
    finding.remedy.as_deref().expect("it says what mends it")
}

fn others_table() -> Table {
    Table {
        owned: false,
        owner: "Another".into(),
        ..example("orders")
    }
}

#[test]
fn a_role_with_every_right_is_no_finding() {
    let tables = examples(vec![example("orders")]);
    assert_eq!(
        on_source(&role::example(), &tables, None, intent_of_a_live_move()),
        []
    );
    let mut target = server::example(160_014);
    target.settings = Settings::of(&[("wal_level", "logical", "")]);
    assert_eq!(
        judge_target(&role::example(), &target, intent_of_a_live_move()),
        []
    );
}

#[test]
fn each_missing_right_on_the_source_has_its_grant() {
    let closed = Table {
        schema_usable: false,
        selectable: false,
        ..others_table()
    };
    let findings = on_source(
        &powerless(),
        &examples(vec![closed]),
        None,
        Intent {
            way_back: false,
            ..intent_of_a_live_move()
        },
    );
    assert_eq!(
        codes(&findings),
        [
            "schema-usage",
            "table-select",
            "replication-right",
            "create-on-database",
            "table-owner",
            "database-owner",
            "signal-backend",
            "read-stats",
            "maintenance-database"
        ]
    );
    assert_eq!(
        remedy(&findings, "schema-usage"),
        "GRANT USAGE ON SCHEMA \"public\" TO \"trunkline\";"
    );
    assert_eq!(
        remedy(&findings, "replication-right"),
        "ALTER ROLE \"trunkline\" REPLICATION;"
    );
    assert_eq!(
        remedy(&findings, "table-owner"),
        "GRANT \"Another\" TO \"trunkline\";"
    );
    assert_eq!(
        remedy(&findings, "create-on-database"),
        "GRANT CREATE ON DATABASE \"app\" TO \"trunkline\";"
    );
    assert_eq!(
        remedy(&findings, "database-owner"),
        "GRANT \"app_owner\" TO \"trunkline\";"
    );
    for finding in &findings[5..] {
        assert_eq!(
            finding.severity,
            Severity::Warning,
            "{}: needed at the cutover only",
            finding.code
        );
    }
}

#[test]
fn a_copy_at_rest_asks_for_reading_only() {
    let at_rest = Intent {
        live: false,
        ..intent_of_a_live_move()
    };
    assert_eq!(
        on_source(&powerless(), &examples(vec![others_table()]), None, at_rest),
        []
    );
    let findings = judge_target(&powerless(), &server::example(160_014), at_rest);
    assert_eq!(codes(&findings), ["create-on-database"]);
}

#[test]
fn a_publication_made_by_an_administrator_spares_owning_the_tables() {
    let tables = examples(vec![others_table()]);
    let mut role = role::example();
    role.creates_in_database = false;
    let orders = TableName::new("public", "orders");
    let made = Publication {
        all_tables: false,
        tables: [orders].into(),
    };
    assert_eq!(
        on_source(&role, &tables, Some(&made), intent_of_a_live_move()),
        []
    );
    let partial = Publication {
        all_tables: false,
        tables: [].into(),
    };
    assert_eq!(
        codes(&on_source(
            &role,
            &tables,
            Some(&partial),
            intent_of_a_live_move()
        )),
        ["table-owner"]
    );
    let all = Publication {
        all_tables: true,
        tables: [].into(),
    };
    assert_eq!(
        on_source(&role, &tables, Some(&all), intent_of_a_live_move()),
        []
    );
}

#[test]
fn membership_in_a_superuser_is_never_the_remedy() {
    let tables = examples(vec![Table {
        owner_is_superuser: true,
        ..others_table()
    }]);
    let mut role = role::example();
    role.owns_database = false;
    role.database_owner_is_superuser = true;
    let intent = Intent {
        way_back: false,
        ..intent_of_a_live_move()
    };
    let findings = on_source(&role, &tables, None, intent);
    assert!(!remedy(&findings, "table-owner").contains("GRANT"));
    assert!(
        remedy(&findings, "database-owner")
            .starts_with("ALTER DATABASE \"app\" OWNER TO \"trunkline\";")
    );
}

#[test]
fn the_replica_role_is_asked_for_in_the_words_of_version_and_platform() {
    let on = |version, platform| {
        let target = server::Facts {
            version: ServerVersion(version),
            platform,
            ..server::example(version)
        };
        let findings = judge_target(&powerless(), &target, intent_of_a_live_move());
        remedy(&findings, "replica-role").to_owned()
    };
    assert!(
        on(150_000, server::Platform::Rds)
            .starts_with("GRANT SET ON PARAMETER session_replication_role")
    );
    assert!(
        on(140_000, server::Platform::Plain).ends_with("SET session_replication_role = replica;")
    );
    assert_eq!(
        on(140_000, server::Platform::Aurora),
        "GRANT rds_superuser TO \"trunkline\";"
    );
}
