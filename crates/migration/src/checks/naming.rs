//! Names that cannot be carried over: `pg_restore` writes a line break in a name as a blank,
//! so that what is restored would not be found by its name again.

use trunkline_changes::Side;

use super::Intent;
use super::finding::Finding;
use super::listing::each;
use super::tables::{Table, Tables};

pub(super) fn judge(tables: &Tables, intent: Intent) -> Vec<Finding> {
    if !intent.structure {
        return Vec::new();
    }
    let broken = tables.list.iter().filter(|table| is_broken(table));
    each(broken, |table| {
        let (schema, name) = (&table.name.schema, &table.name.name);
        let message = "the name holds a line break, which pg_restore does not keep: the table would not be found \
                       after its structure is made";
        let renamed = trunkline_changes::quote_ident(&name.replace(['\n', '\r'], " "));
        let remedy = if name.contains(['\n', '\r']) {
            format!("ALTER TABLE {} RENAME TO {renamed};", table.name.quoted())
        } else {
            format!(
                "ALTER SCHEMA {} RENAME TO {};",
                trunkline_changes::quote_ident(schema),
                trunkline_changes::quote_ident(&schema.replace(['\n', '\r'], " "))
            )
        };
        Finding::blocker("line-break-in-name", message)
            .on(Side::Source)
            .about(&table.name)
            .mend(remedy)
    })
}

fn is_broken(table: &Table) -> bool {
    let breaks = |part: &str| part.contains(['\n', '\r']);
    breaks(&table.name.schema) || breaks(&table.name.name)
}
