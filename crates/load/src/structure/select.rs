//! Which entries are made: pure. A table out of scope is left out with everything that
//! needs it; what stands in a schema out of scope is made only if a table in scope needs
//! it. Everything left out is listed with its reason.

use std::collections::{HashMap, HashSet};

use trunkline_changes::TableName;

use super::dump::Structure;
use super::entry::{Entry, LeftOut};
use crate::catalog::{IndexFacts, Table};
use crate::scope::{OWN_SCHEMA, Scope};
use crate::transform::leaving_out::{self, Columns, Users};

/// Kinds that are never made: rows and positions come by other ways, and the source's
/// publications and subscriptions would act on the target by themselves.
const NEVER: [&str; 16] = [
    "PUBLICATION",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
    "SUBSCRIPTION",
    "SUBSCRIPTION TABLE",
    "DATABASE",
    "DATABASE PROPERTIES",
    "TABLE DATA",
    "SEQUENCE SET",
    "MATERIALIZED VIEW DATA",
    "STATISTICS DATA",
    "BLOB",
    "BLOBS",
    "BLOB METADATA",
    "BLOB COMMENTS",
    "LARGE OBJECT",
];

/// What the selection is made by.
pub(crate) struct Selection<'a> {
    pub(crate) scope: &'a Scope,
    /// The tables in scope.
    pub(crate) tables: &'a [Table],
    pub(crate) indexes: &'a [IndexFacts],
    pub(crate) no_privileges: bool,
    /// Columns that stay behind, and what uses them.
    pub(crate) left_behind: &'a Columns,
    pub(crate) users: &'a Users,
}

/// Chooses.
pub(crate) fn select(mut entries: Vec<Entry>, by: &Selection<'_>) -> Structure {
    let tables: HashMap<&TableName, &Table> =
        by.tables.iter().map(|table| (&table.name, table)).collect();
    let excluded_indexes = excluded_indexes(by);
    let needed = needed_by_tables(&entries, &tables);
    let mut reasons: HashMap<u32, String> = HashMap::new();
    for entry in &entries {
        if let Some(reason) = own_reason(entry, by, &tables, &excluded_indexes, &needed) {
            reasons.insert(entry.id, reason);
        }
    }
    spread(&entries, &tables, &mut reasons);
    leave_out_schemas(&entries, by.scope, &mut reasons);
    spread(&entries, &tables, &mut reasons);
    let consequences: HashSet<u32> = consequences(&entries, &tables, &reasons);
    let mut structure = Structure::default();
    let known: HashSet<(u32, u32)> = entries.iter().map(|e| (e.class(), e.oid)).collect();
    // What stands within a table's definition goes with the column.
    let within = by
        .users
        .iter()
        .filter(|(id, _)| id.0 != leaving_out::DEFAULTS && !known.contains(id));
    structure.left_out.extend(within.map(|(_, user)| LeftOut {
        entry: user.description.clone(),
        reason: needs_column(user),
        by_consequence: true,
    }));
    // In place: of very many there would be two lists.
    entries.retain(|entry| {
        let Some(reason) = reasons.remove(&entry.id) else {
            return true;
        };
        structure.left_out.push(LeftOut {
            entry: entry.to_string(),
            reason,
            by_consequence: consequences.contains(&entry.id),
        });
        false
    });
    entries.shrink_to_fit();
    structure.entries = entries;
    structure
}

/// What is left out although it is in scope itself: views, functions, and foreign keys and
/// the like of tables that are made.
fn consequences(
    entries: &[Entry],
    tables: &HashMap<&TableName, &Table>,
    reasons: &HashMap<u32, String>,
) -> HashSet<u32> {
    let made: HashSet<u32> = entries
        .iter()
        .filter(|entry| entry.kind() == "TABLE" && !reasons.contains_key(&entry.id))
        .map(|entry| entry.id)
        .collect();
    let stands_alone = |entry: &Entry| {
        if !is_of_table(entry.kind()) {
            return entry.class() != 0 && entry.kind() != "TABLE";
        }
        // A foreign key needs two tables; its name begins with the one that has it.
        let mut spaces = entry.name.match_indices(' ');
        let mut has_it = || {
            let name = |at| TableName::new(entry.schema().as_str(), &entry.name[..at]);
            spaces.any(|(at, _)| tables.contains_key(&name(at)))
        };
        entry.needs.iter().any(|id| made.contains(id))
            && (entry.kind() != "FK CONSTRAINT" || has_it())
    };
    let left_out = entries.iter().filter(|entry| {
        let reason = reasons.get(&entry.id);
        reason.is_some_and(|reason| reason.starts_with(NEEDS))
    });
    left_out
        .filter(|entry| stands_alone(entry))
        .map(|entry| entry.id)
        .collect()
}

/// OIDs of indexes, and of the constraints that they carry, that a filter names.
fn excluded_indexes(by: &Selection<'_>) -> HashSet<u32> {
    by.indexes
        .iter()
        .filter(|index| !by.scope.covers_index(&index.name.schema, &index.name.name))
        .flat_map(|index| [Some(index.oid), index.constraint_oid])
        .flatten()
        .collect()
}

/// Everything that tables in scope need, directly or not.
fn needed_by_tables(entries: &[Entry], tables: &HashMap<&TableName, &Table>) -> HashSet<u32> {
    let by_id: HashMap<u32, &Entry> = entries.iter().map(|entry| (entry.id, entry)).collect();
    let mut needed = HashSet::new();
    let mut pending: Vec<u32> = entries
        .iter()
        .filter(|entry| entry.kind() == "TABLE" && tables.contains_key(&entry.table_name()))
        .map(|entry| entry.id)
        .collect();
    while let Some(id) = pending.pop() {
        if needed.insert(id) {
            pending.extend(by_id.get(&id).into_iter().flat_map(|entry| &entry.needs));
        }
    }
    needed
}

fn own_reason(
    entry: &Entry,
    by: &Selection<'_>,
    tables: &HashMap<&TableName, &Table>,
    excluded_indexes: &HashSet<u32>,
    needed: &HashSet<u32>,
) -> Option<String> {
    let kind = entry.kind().as_str();
    if NEVER.contains(&kind) {
        return Some("never copied".to_owned());
    }
    if by.no_privileges && (kind == "ACL" || kind == "DEFAULT ACL") {
        return Some("privileges are not copied".to_owned());
    }
    if entry.schema() == OWN_SCHEMA || (kind == "SCHEMA" && entry.name == OWN_SCHEMA) {
        return Some("Trunkline's own".to_owned());
    }
    if kind == "EVENT TRIGGER" && is_our_log(&entry.name) {
        return Some("Trunkline's own".to_owned());
    }
    if kind == "TABLE" {
        let known = tables.contains_key(&entry.table_name());
        return (!known).then(|| "not in scope".to_owned());
    }
    if excluded_indexes.contains(&entry.oid) && [1259, 2606].contains(&entry.class()) {
        return Some(EXCLUDED.to_owned());
    }
    if leaving_out::is_about_one(by.left_behind, entry.schema(), &entry.name) {
        return Some("its column is left out".to_owned());
    }
    if let Some(user) = by.users.get(&(entry.class(), entry.oid)) {
        return Some(needs_column(user));
    }
    let is_relation = ["VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "SEQUENCE"].contains(&kind);
    if is_relation && by.scope.excludes_table(&entry.table_name()) {
        return Some(EXCLUDED.to_owned());
    }
    let outside = !entry.schema().is_empty() && !by.scope.covers_schema(entry.schema());
    let belongs_to_another = entry.class() == 0 || is_of_table(kind);
    if outside && !belongs_to_another && !needed.contains(&entry.id) {
        return Some("its schema is not in scope".to_owned());
    }
    None
}

/// The event triggers of a log of changes of structure: what they call is in our schema.
fn is_our_log(name: &str) -> bool {
    name.starts_with("trunkline_") && (name.ends_with("_ddl") || name.ends_with("_drop"))
}

/// Begins the reason of whatever is left out for something else.
const NEEDS: &str = "it needs ";

fn needs_column(user: &leaving_out::User) -> String {
    format!("{NEEDS}the column {}, which is left out", user.column)
}

/// Why an entry that a filter names is left out.
const EXCLUDED: &str = "excluded by a filter";

fn is_index(kind: &str) -> bool {
    kind == "INDEX" || kind == "CONSTRAINT"
}

/// Kinds that share the fate of the table they need.
fn is_of_table(kind: &str) -> bool {
    [
        "INDEX",
        "INDEX ATTACH",
        "CONSTRAINT",
        "CHECK CONSTRAINT",
        "FK CONSTRAINT",
        "DEFAULT",
        "TRIGGER",
        "RULE",
        "POLICY",
        "ROW SECURITY",
        "STATISTICS",
        "TABLE ATTACH",
        "SEQUENCE",
        "SEQUENCE OWNED BY",
    ]
    .contains(&kind)
}

/// What needs something left out is left out, until nothing changes. A partition and its
/// indexes are made on their own before they are attached, so they do not need a parent
/// that is out of scope; an index that a filter names takes its partitions' with it.
fn spread(
    entries: &[Entry],
    tables: &HashMap<&TableName, &Table>,
    reasons: &mut HashMap<u32, String>,
) {
    let by_id: HashMap<u32, &Entry> = entries.iter().map(|entry| (entry.id, entry)).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for entry in entries {
            if reasons.contains_key(&entry.id) {
                continue;
            }
            let partition = entry.kind() == "TABLE"
                && tables
                    .get(&entry.table_name())
                    .is_some_and(|t| t.origin.partition_of.is_some());
            let missing = entry.needs.iter().find_map(|id| {
                let (needed, reason) = (by_id.get(id)?, reasons.get(id)?);
                let is_parent_table = partition && needed.kind() == "TABLE";
                let is_parent_index =
                    [entry, needed].iter().all(|e| is_index(e.kind())) && reason != EXCLUDED;
                (!is_parent_table && !is_parent_index).then_some(needed)
            });
            if let Some(missing) = missing {
                reasons.insert(entry.id, format!("{NEEDS}{missing}, which is left out"));
                changed = true;
            }
        }
    }
}

/// A schema is made if it is covered or something in it is made.
fn leave_out_schemas(entries: &[Entry], scope: &Scope, reasons: &mut HashMap<u32, String>) {
    let used: HashSet<&str> = entries
        .iter()
        .filter(|entry| {
            entry.kind() != "SCHEMA" && entry.class() != 0 && !reasons.contains_key(&entry.id)
        })
        .map(|entry| entry.schema().as_str())
        .collect();
    for entry in entries.iter().filter(|entry| entry.kind() == "SCHEMA") {
        if !scope.covers_schema(&entry.name) && !used.contains(entry.name.as_str()) {
            reasons
                .entry(entry.id)
                .or_insert_with(|| "not in scope".to_owned());
        }
    }
}

impl Entry {
    /// Schema and name as a table's.
    pub(crate) fn table_name(&self) -> TableName {
        TableName::new(self.schema().clone(), self.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn entry(id: u32, kind: &str, schema: &str, name: &str, needs: &[u32]) -> Entry {
        let mut entry = Entry::bare(id, kind, schema, name, needs);
        if ["COMMENT", "ACL", "TABLE ATTACH"].contains(&kind) {
            Arc::make_mut(&mut entry.group).class = 0;
        }
        entry
    }

    fn world() -> Vec<Entry> {
        vec![
            entry(1, "SCHEMA", "", "app", &[]),
            entry(2, "SCHEMA", "", "types", &[]),
            entry(3, "SCHEMA", "", "junk", &[]),
            entry(4, "TYPE", "types", "mood", &[]),
            entry(5, "FUNCTION", "junk", "f()", &[]),
            entry(6, "TABLE", "app", "orders", &[4]),
            entry(7, "TABLE", "app", "tmp", &[]),
            entry(8, "VIEW", "app", "both", &[6, 7]),
            entry(9, "COMMENT", "app", "VIEW both", &[8]),
            entry(10, "SEQUENCE", "app", "tmp_id_seq", &[7]),
            entry(11, "INDEX", "app", "orders_i", &[6]),
            entry(12, "FK CONSTRAINT", "app", "orders fk", &[6, 7]),
            entry(13, "PUBLICATION", "", "pub", &[]),
            entry(14, "TABLE", "app", "leaf", &[7]),
            entry(15, "TABLE ATTACH", "app", "leaf", &[14, 7]),
            entry(16, "ACL", "app", "TABLE orders", &[6]),
        ]
    }

    fn made(scope: &Scope, tables: &[&str], no_privileges: bool) -> Vec<u32> {
        let tables: Vec<Table> = tables
            .iter()
            .map(|name| {
                let mut table = Table::bare(TableName::new("app", *name));
                let parent = || TableName::new("app", "tmp").into();
                Arc::make_mut(&mut table.origin).partition_of = (*name == "leaf").then(parent);
                table
            })
            .collect();
        let by = Selection {
            scope,
            tables: &tables,
            indexes: &[],
            no_privileges,
            left_behind: &Columns::new(),
            users: &Users::new(),
        };
        select(world(), &by)
            .entries
            .iter()
            .map(|entry| entry.id)
            .collect()
    }

    #[test]
    fn only_what_nobody_asked_to_leave_out_is_a_consequence() {
        let orders = Table::bare(TableName::new("app", "orders"));
        let mut entries = world();
        entries.push(entry(17, "FK CONSTRAINT", "app", "tmp fk", &[7, 6]));
        let by = Selection {
            scope: &Scope::everything(),
            tables: &[orders],
            indexes: &[],
            no_privileges: false,
            left_behind: &Columns::new(),
            users: &Users::new(),
        };
        let structure = select(entries, &by);
        let named: Vec<&str> = structure
            .left_out
            .iter()
            .filter(|left| left.by_consequence)
            .map(|left| left.entry.as_str())
            .collect();
        assert_eq!(named, ["VIEW app.both", "FK CONSTRAINT app.orders fk"]);
    }

    #[test]
    fn what_hangs_on_a_table_out_of_scope_is_left_out_with_it() {
        let scope = Scope::from_patterns(&[], &["app.tmp".to_owned()]).expect("patterns");
        assert_eq!(
            made(&scope, &["orders", "leaf"], false),
            [1, 2, 3, 4, 5, 6, 11, 14, 16]
        );
    }

    #[test]
    fn a_schema_out_of_scope_gives_only_what_is_needed() {
        let scope = Scope::from_patterns(&["app.orders".to_owned()], &[]).expect("patterns");
        assert_eq!(made(&scope, &["orders"], true), [1, 2, 4, 6, 11]);
    }
}
