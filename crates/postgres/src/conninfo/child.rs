//! Handing the settings to a libpq program (`pg_dump`, `pg_restore`) so that nothing secret is
//! among its arguments (manual, "Environment Variables").

use super::keyword::{self, KEYWORDS, Secrecy};
use super::{Conninfo, key_value};

impl Conninfo {
    /// The environment variables for a libpq program. Remove
    /// [`Conninfo::child_environment_cleared`] first: a variable of our own environment, above
    /// all `PGSERVICE`, would otherwise go before these settings.
    pub fn child_environment(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for keyword in KEYWORDS {
            let Some(variable) = keyword.variable else {
                continue;
            };
            let value = match (keyword.name, keyword.secrecy) {
                // Its settings are already among ours.
                ("service", _) => None,
                (name, Secrecy::Secret) => self.secrets.get(name).map(super::Secret::reveal),
                (name, Secrecy::Open) => self.values.get(name).map(String::as_str),
            };
            if let Some(value) = value {
                variables.push((variable.to_owned(), value.to_owned()));
            }
        }
        variables
    }

    /// The settings for a server that connects by itself, as `CREATE SUBSCRIPTION` takes them.
    /// Holds the password: never to be shown or written down. What is of this machine alone
    /// stays here, and a server that is not reached is given up after ten seconds.
    pub fn for_another_server(&self) -> String {
        const OURS: [&str; 8] = [
            "service",
            "passfile",
            "application_name",
            "fallback_application_name",
            "client_encoding",
            "replication",
            "load_balance_hosts",
            "sslkeylogfile",
        ];
        let mut pairs: Vec<(&str, &str)> = self
            .values
            .iter()
            .filter(|(name, _)| !OURS.contains(name))
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        if !self.values.contains_key("connect_timeout") {
            pairs.push(("connect_timeout", "10"));
        }
        let secrets = self.secrets.iter();
        let others = secrets.filter(|(name, _)| **name != "password");
        pairs.extend(others.map(|(name, secret)| (*name, secret.reveal())));
        if let Some(password) = self.password_for(0) {
            pairs.push(("password", password.reveal()));
        }
        key_value::write(pairs)
    }

    /// Every variable that libpq reads connection settings from.
    pub fn child_environment_cleared() -> Vec<&'static str> {
        let files = ["PGSERVICEFILE", "PGSYSCONFDIR", "PGREQUIRESSL"];
        let named = KEYWORDS.iter().filter_map(|keyword| keyword.variable);
        named.chain(files).collect()
    }

    /// What a libpq program takes for `--dbname`: the database, and the settings that have no
    /// environment variable. Never holds a secret.
    pub fn child_dbname(&self) -> String {
        let without_variable = self.values.iter().filter(|(name, _)| {
            // `replication` would make a walsender of the child's connection.
            let passed_on = **name != "replication";
            passed_on && keyword::find(name).is_ok_and(|keyword| keyword.variable.is_none())
        });
        key_value::write(
            [("dbname", self.database())]
                .into_iter()
                .chain(without_variable.map(|(name, value)| (*name, value.as_str()))),
        )
    }
}
