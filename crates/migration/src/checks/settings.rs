//! The settings that the checks look at, read in one query as numbers with units.

use std::collections::HashMap;
use std::time::Duration;

use trunkline_postgres::{PgError, Session};

/// Every setting that some check asks for. One that a server does not know is absent.
const ASKED: &[&str] = &[
    "block_size",
    "default_transaction_read_only",
    "hot_standby_feedback",
    "idle_in_transaction_session_timeout",
    "idle_replication_slot_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "max_active_replication_origins",
    "max_connections",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_standby_streaming_delay",
    "max_sync_workers_per_subscription",
    "max_wal_senders",
    "output_plugin_libraries",
    "recovery_min_apply_delay",
    "session_replication_role",
    "statement_timeout",
    "transaction_timeout",
    "wal_level",
    "wal_sender_timeout",
];

#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    values: HashMap<String, Setting>,
}

#[derive(Clone, Debug)]
struct Setting {
    value: String,
    unit: String,
    /// What it was before our session changed it.
    before: String,
}

impl Settings {
    pub(super) async fn read(session: &mut Session) -> Result<Self, PgError> {
        let asked: Vec<&str> = ASKED.to_vec();
        let rows = session
            .query(include_str!("sql/settings.sql"), &[&asked])
            .await?;
        let mut values = HashMap::new();
        for row in rows {
            let setting = Setting {
                value: row.get(1)?,
                unit: row.get(2)?,
                before: row.get(3)?,
            };
            values.insert(row.get(0)?, setting);
        }
        Ok(Settings { values })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|setting| setting.value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// Whether a setting is on for sessions that do not say otherwise, as ours may have.
    pub(super) fn is_on_for_others(&self, name: &str) -> bool {
        self.values
            .get(name)
            .is_some_and(|setting| setting.before == "on")
    }

    /// A size in bytes; negative values, which mean no limit, are `None` as an absent one is.
    pub(super) fn bytes(&self, name: &str) -> Option<u64> {
        let setting = self.values.get(name)?;
        let unit: u64 = match setting.unit.as_str() {
            "" | "B" => 1,
            "kB" => 1 << 10,
            "8kB" => 8 << 10,
            "MB" => 1 << 20,
            "GB" => 1 << 30,
            _ => return None,
        };
        setting.value.parse::<u64>().ok()?.checked_mul(unit)
    }

    /// A duration; zero, which mostly means off, is given as zero.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        let setting = self.values.get(name)?;
        let value: u64 = setting.value.parse().ok()?;
        Some(match setting.unit.as_str() {
            "ms" => Duration::from_millis(value),
            "s" => Duration::from_secs(value),
            "min" => Duration::from_secs(value.checked_mul(60)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
impl Settings {
    /// Settings as a server would show them: name, value, unit.
    pub(super) fn of(values: &[(&str, &str, &str)]) -> Self {
        let setting = |&(name, value, unit): &(&str, &str, &str)| {
            let setting = Setting {
                value: value.into(),
                unit: unit.into(),
                before: value.into(),
            };
            (name.to_owned(), setting)
        };
        Settings {
            values: values.iter().map(setting).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use std::time::Duration;

    #[test]
    fn units_are_heeded_and_no_limit_is_none() {
        let settings = Settings::of(&[
            ("max_slot_wal_keep_size", "1024", "MB"),
            ("block_size", "8192", ""),
            ("wal_sender_timeout", "60000", "ms"),
            ("unlimited", "-1", "MB"),
        ]);
        assert_eq!(settings.bytes("max_slot_wal_keep_size"), Some(1 << 30));
        assert_eq!(settings.bytes("block_size"), Some(8192));
        assert_eq!(settings.bytes("unlimited"), None);
        assert_eq!(settings.bytes("absent"), None);
        assert_eq!(
            settings.duration("wal_sender_timeout"),
            Some(Duration::from_mins(1))
        );
    }
}
