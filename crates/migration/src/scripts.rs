//! The scripts of `trunkline sql`: what Trunkline would do, or asks an administrator to do, as
//! SQL that people read and run by hand. Nothing here changes anything.

mod by_route;
mod role;
mod sequences;
mod triggers;

use std::fmt::Write as _;

use trunkline_changes::{TableName, quote_ident};

pub use by_route::for_route;
pub use role::{Owner, RoleFacts, role, role_facts, target_role_facts};
pub use sequences::sequences;
pub use triggers::{TriggerScripts, triggers};

/// The publication for tables that hold rows themselves (partitions, not their parents), to be
/// run on the source by the tables' owner or a superuser.
pub fn publication(name: &str, tables: &[TableName]) -> String {
    let mut sql = format!("CREATE PUBLICATION {}", quote_ident(name));
    for (index, table) in tables.iter().enumerate() {
        let lead = if index == 0 { " FOR TABLE" } else { "," };
        // ONLY: what inherits from a table is listed on its own. Writing to a String cannot
        // fail.
        let _ = write!(sql, "{lead}\n    ONLY {}", table.quoted());
    }
    sql.push_str(";\n");
    sql
}

#[cfg(test)]
mod tests {
    use super::publication;
    use trunkline_changes::TableName;

    #[test]
    fn a_publication_lists_its_tables_quoted() {
        let tables = [
            TableName::new("public", "orders"),
            TableName::new("a\"b", "C"),
        ];
        assert_eq!(
            publication("trunkline_app", &tables),
            "CREATE PUBLICATION \"trunkline_app\" FOR TABLE\n    ONLY \"public\".\"orders\",\n    ONLY \"a\"\"b\".\"C\";\n"
        );
        assert_eq!(publication("empty", &[]), "CREATE PUBLICATION \"empty\";\n");
    }
}
