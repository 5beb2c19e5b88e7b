//! Scripts that put triggers to rest and wake exactly those again, each in its own mode.

use trunkline_changes::{TableName, quote_ident};
use trunkline_postgres::{PgError, Session};

/// Two scripts that belong together: what the first disables, the second enables as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerScripts {
    /// Disables every trigger that is enabled now.
    pub disable_sql: String,
    /// Enables the same triggers in the mode that each has now.
    pub enable_sql: String,
}

/// How an enabled trigger fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Origin,
    Always,
    Replica,
}

impl Mode {
    fn sql(self) -> &'static str {
        match self {
            Mode::Origin => "ENABLE TRIGGER",
            Mode::Always => "ENABLE ALWAYS TRIGGER",
            Mode::Replica => "ENABLE REPLICA TRIGGER",
        }
    }
}

/// Reads the triggers of these tables that are enabled, and writes both scripts. Triggers that
/// are disabled already are in neither, nor are those that enforce foreign keys.
pub async fn triggers(
    session: &mut Session,
    tables: &[TableName],
) -> Result<TriggerScripts, PgError> {
    let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let mut enabled = Vec::new();
    for row in session
        .query(include_str!("triggers.sql"), &[&schemas, &names])
        .await?
    {
        let table = row.table_name(0, 1)?;
        let mode = match row.get::<String>(3)?.as_str() {
            "A" => Mode::Always,
            "R" => Mode::Replica,
            _ => Mode::Origin,
        };
        enabled.push((table, row.get(2)?, mode));
    }
    Ok(write(&enabled))
}

fn write(enabled: &[(TableName, String, Mode)]) -> TriggerScripts {
    let script = |action: fn(Mode) -> &'static str| {
        if enabled.is_empty() {
            return "-- No trigger is enabled.\n".to_owned();
        }
        // ONLY: a partition's triggers are listed on their own, and may be in another mode.
        let line = |(table, name, mode): &(TableName, String, Mode)| {
            format!(
                "ALTER TABLE ONLY {} {} {};",
                table.quoted(),
                action(*mode),
                quote_ident(name)
            )
        };
        let lines: Vec<String> = enabled.iter().map(line).collect();
        format!("BEGIN;\n{}\nCOMMIT;\n", lines.join("\n"))
    };
    TriggerScripts {
        disable_sql: script(|_| "DISABLE TRIGGER"),
        enable_sql: script(Mode::sql),
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, write};
    use trunkline_changes::TableName;

    #[test]
    fn each_trigger_is_enabled_again_in_its_own_mode() {
        let table = TableName::new("public", "orders");
        let scripts = write(&[
            (table.clone(), "audit".to_owned(), Mode::Always),
            (table.clone(), "stamp".to_owned(), Mode::Origin),
            (table, "feed".to_owned(), Mode::Replica),
        ]);
        assert_eq!(scripts.disable_sql.matches("DISABLE TRIGGER").count(), 3);
        assert_eq!(
            scripts.enable_sql,
            "BEGIN;\n\
             ALTER TABLE ONLY \"public\".\"orders\" ENABLE ALWAYS TRIGGER \"audit\";\n\
             ALTER TABLE ONLY \"public\".\"orders\" ENABLE TRIGGER \"stamp\";\n\
             ALTER TABLE ONLY \"public\".\"orders\" ENABLE REPLICA TRIGGER \"feed\";\n\
             COMMIT;\n"
        );
    }

    #[test]
    fn without_an_enabled_trigger_both_scripts_do_nothing() {
        let scripts = write(&[]);
        assert!(scripts.disable_sql.starts_with("--") && scripts.enable_sql.starts_with("--"));
    }
}
