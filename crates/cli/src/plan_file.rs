//! The plan file: read with every key known, written without a password.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trunkline_migration::Error;
pub(crate) use trunkline_migration::nearest;

use crate::traffic_plan::TrafficTables;
use crate::transform_plan::TransformTable;

/// `trunkline.toml`, as typed. Everything is optional; arguments go before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PlanFile {
    pub(crate) migration: MigrationTable,
    pub(crate) source: ServerTable,
    pub(crate) target: ServerTable,
    pub(crate) replica: ReplicaTable,
    pub(crate) stream: StreamTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relay: Option<RelayTable>,
    pub(crate) seed: SeedTable,
    pub(crate) subscription: SubscriptionTable,
    pub(crate) structure: StructureTable,
    pub(crate) tables: TablesTable,
    pub(crate) transform: TransformTable,
    pub(crate) apply: ApplyTable,
    pub(crate) cutover: CutoverTable,
    pub(crate) downstream: DownstreamTable,
    pub(crate) notify: NotifyTable,
    pub(crate) validation: ValidationTable,
    pub(crate) budget: BudgetTable,
}

/// `[migration]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MigrationTable {
    pub(crate) name: Option<String>,
    pub(crate) route: Option<String>,
}

/// `[source]` and `[target]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerTable {
    pub(crate) conninfo: Option<String>,
    pub(crate) password_env: Option<String>,
    pub(crate) publication: Option<String>,
}

/// `[replica]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReplicaTable {
    pub(crate) provider: Option<String>,
    pub(crate) data_directory: Option<PathBuf>,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) programs: Vec<PathBuf>,
    pub(crate) lag_command: Option<String>,
}

/// `[stream]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StreamTable {
    pub(crate) decoder: Option<String>,
    pub(crate) ddl: Option<String>,
}

/// `[relay]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RelayTable {
    pub(crate) conninfo: Option<String>,
    pub(crate) password_env: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) slot: Option<String>,
    pub(crate) data_directory: Option<PathBuf>,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) programs: Vec<PathBuf>,
}

/// `[seed]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SeedTable {
    pub(crate) method: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) data_directory: Option<PathBuf>,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) upgrade_to: Option<u32>,
    pub(crate) programs: Vec<PathBuf>,
    pub(crate) position: Option<String>,
    pub(crate) position_from: Option<String>,
    pub(crate) jobs: Option<usize>,
    pub(crate) index_jobs: Option<usize>,
    pub(crate) split_tables_larger_than: Option<String>,
}

/// `[subscription]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SubscriptionTable {
    pub(crate) connection: Option<String>,
    pub(crate) password_env: Option<String>,
    pub(crate) copy_data: Option<bool>,
    pub(crate) binary: Option<bool>,
}

/// `[structure]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StructureTable {
    pub(crate) restore: Option<bool>,
    pub(crate) owners: Option<bool>,
    pub(crate) privileges: Option<bool>,
    pub(crate) drop_if_exists: Option<bool>,
}

/// `[tables]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TablesTable {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) filters: Option<PathBuf>,
    pub(crate) insert_only: Vec<String>,
}

/// `[apply]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ApplyTable {
    pub(crate) on_conflict: Option<String>,
}

/// `[cutover]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CutoverTable {
    pub(crate) max_lag: Option<String>,
    pub(crate) max_pause: Option<String>,
    pub(crate) recheck: Option<String>,
    pub(crate) smoke: Vec<SmokeTable>,
    pub(crate) maintenance_database: Option<String>,
    pub(crate) way_back: Option<String>,
    pub(crate) traffic: Option<TrafficTables>,
}

/// `[[cutover.smoke]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SmokeTable {
    pub(crate) name: String,
    pub(crate) sql: Option<String>,
    pub(crate) command: Option<String>,
    pub(crate) expect: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) when: Option<String>,
}

/// `[downstream]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DownstreamTable {
    pub(crate) slots: Vec<String>,
}

/// `[notify]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NotifyTable {
    pub(crate) webhook: Option<String>,
    pub(crate) webhook_env: Option<String>,
    pub(crate) token_env: Option<String>,
    pub(crate) header_env: Option<String>,
}

/// `[validation]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ValidationTable {
    pub(crate) jobs: Option<usize>,
    pub(crate) source_share: Option<String>,
    pub(crate) continuous: Option<bool>,
    pub(crate) part_size: Option<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) exclude_columns: Vec<String>,
}

/// `[budget]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BudgetTable {
    pub(crate) wal_kept_warn: Option<String>,
    pub(crate) wal_kept_stop: Option<String>,
}

impl PlanFile {
    /// Reads and parses a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|cause| Error::File {
            path: path.display().to_string(),
            cause,
        })?;
        PlanFile::parse(&text).map_err(|(why, hint)| Error::Plan {
            why: format!("{}: {why}", path.display()),
            hint,
        })
    }

    /// Parses the text; the error is what is wrong and what to do.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, String)> {
        toml::from_str(text).map_err(|error| {
            let why = error.to_string().trim().to_owned();
            let hint = unknown_key(error.message())
                .and_then(|(key, known)| nearest(key, &known))
                .map_or_else(
                    || "docs/reference/plan.md lists every key".to_owned(),
                    |key| format!("did you mean `{key}`?"),
                );
            (why, hint)
        })
    }

    /// The text that [`PlanFile::read`] reads back.
    pub(crate) fn to_text(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|error| Error::internal(&error))
    }
}

/// The key that is not known, and those that are known in its place.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.split_once("unknown field `")?.1;
    let (key, expected) = rest.split_once('`')?;
    // Every second piece stands between two backticks.
    Some((key, expected.split('`').skip(1).step_by(2).collect()))
}

/// A size such as `10 GB`, `512kB` or `1048576`, in bytes; units are powers of 1024, as in
/// PostgreSQL's settings.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size that a person types; parsed digits are never negative"
    )]
    let bytes = (number * (1_u64 << shift) as f64) as u64;
    Some(bytes)
}

/// A duration such as `30s`, `500 ms`, `2min` or `1h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" | "sec" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic_plan::TrafficTable;

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest() {
        let (why, hint) = PlanFile::parse("[cutover]\nmax_puase = \"3s\"").expect_err("a typo");
        assert!(why.contains("max_puase"), "{why}");
        assert!(hint.contains("max_pause"), "{hint}");
    }

    #[test]
    fn a_plan_reads_back_as_it_was_written() {
        let mut plan = PlanFile::default();
        plan.migration.name = Some("orders".to_owned());
        plan.tables.include = vec!["public.*".to_owned()];
        plan.cutover.traffic = Some(TrafficTables::One(Box::new(TrafficTable {
            kind: "command".to_owned(),
            switch: Some("true".to_owned()),
            ..TrafficTable::default()
        })));
        plan.cutover.smoke = vec![SmokeTable {
            name: "orders".to_owned(),
            sql: Some("SELECT 'it''s'\nFROM orders".to_owned()),
            expect: Some("it's".to_owned()),
            ..SmokeTable::default()
        }];
        plan.downstream.slots = vec!["debezium".to_owned()];
        plan.notify.webhook = Some("https://hooks.example/".to_owned());
        let text = plan.to_text().expect("it can be written");
        assert_eq!(PlanFile::parse(&text), Ok(plan));
    }

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        assert_eq!(parse_size("10 GB"), Some(10 << 30));
        assert_eq!(parse_size("1.5kB"), Some(1536));
        assert_eq!(parse_size("ten"), None);
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("500 ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("30"), None);
    }
}
