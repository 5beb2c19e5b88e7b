//! The log on the source: one function and two event triggers, by names that are a
//! migration's alone.

use trunkline_changes::{quote_ident, quote_literal};

const COLUMNS: &str = include_str!("../../sql/ddl_columns.sql");

/// The log of changes of structure of one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DdlLog {
    name: String,
}

impl DdlLog {
    /// By the name of what the leg follows, which holds the migration's id.
    pub fn new(name: impl Into<String>) -> Self {
        DdlLog { name: name.into() }
    }

    /// What its messages begin with.
    pub fn prefix(&self) -> String {
        format!("trunkline.ddl.{}", self.name)
    }

    /// Its event triggers: after a command, and after a drop.
    pub fn triggers(&self) -> [String; 2] {
        ["ddl", "drop"].map(|event| format!("{}_{event}", self.name))
    }

    /// The statements that make it, of one transaction; a superuser's. Making it again
    /// changes nothing.
    pub fn make_sql(&self) -> String {
        let columns = COLUMNS.replace("{relation}", "c.oid");
        self.named(include_str!("../../sql/ddl_log_make.sql"))
            .replace("{prefix}", &quote_literal(&self.prefix()))
            .replace("{columns}", &columns)
    }

    /// The statements that remove it, of one transaction, whether it is there or not.
    pub fn remove_sql(&self) -> String {
        self.named(include_str!("../../sql/ddl_log_remove.sql"))
    }

    fn named(&self, sql: &str) -> String {
        let [end, drop] = self.triggers();
        sql.replace("{end_trigger}", &quote_ident(&end))
            .replace("{drop_trigger}", &quote_ident(&drop))
            .replace("{function}", &quote_ident(&format!("{}_ddl", self.name)))
    }
}

/// The query for the columns of a table by its OID, as the log describes them.
pub(super) fn columns_query() -> String {
    format!("SELECT {}::text", COLUMNS.replace("{relation}", "$1::oid"))
}
