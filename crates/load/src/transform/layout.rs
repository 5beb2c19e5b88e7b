//! What the rules say of the tables that there are. The columns and rows of a partition are
//! those of its partitioned table: only that one is asked about them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use trunkline_changes::{ColumnMap, TableName};

use super::{Action, Rule, Transform, refused};
use crate::catalog::Table;
use crate::error::LoadError;
use crate::lineage::Lineage;

/// PostgreSQL cuts a longer name off (`NAMEDATALEN`), and then it is another one.
const NAME_BYTES: usize = 63;

/// By which names the target's tables go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The source's: they were restored, and are not renamed yet.
    AsOnSource,
    /// Those that the rules give.
    Final,
}

/// Where the source's tables and columns stand on the target.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    places: HashMap<TableName, TableName>,
    sources: HashMap<TableName, TableName>,
    columns: HashMap<TableName, ColumnMap>,
    conditions: HashMap<TableName, String>,
}

impl Layout {
    /// For the source's tables in scope.
    pub fn new(transform: &Transform, tables: &[Table], naming: Naming) -> Self {
        let mut layout = Layout::default();
        if transform.is_none() {
            return layout;
        }
        let roots = roots(tables);
        for table in tables {
            let root = &roots[&table.name];
            let place = match naming {
                Naming::AsOnSource => table.name.clone(),
                Naming::Final => transform.place(&table.name),
            };
            layout.sources.insert(place.clone(), table.name.clone());
            layout.places.insert(table.name.clone(), place);
            let columns = columns(transform, root, table, naming);
            if !columns.is_same() {
                layout.columns.insert(table.name.clone(), columns);
            }
            if let Some(condition) = transform.condition(root) {
                layout
                    .conditions
                    .insert(table.name.clone(), condition.to_owned());
            }
        }
        layout
    }

    /// Where one of the source's tables stands.
    pub fn place<'a>(&'a self, table: &'a TableName) -> &'a TableName {
        self.places.get(table).unwrap_or(table)
    }

    /// The source's table that stands at a place, if it is not that of another name.
    pub fn source_of<'a>(&'a self, place: &'a TableName) -> Option<&'a TableName> {
        match self.sources.get(place) {
            Some(source) => Some(source),
            // A table of that name is the target's own if the source's stands elsewhere.
            None if self.places.contains_key(place) => None,
            None => Some(place),
        }
    }

    /// The source's names for places, where they are others.
    pub fn renamed_places(&self) -> HashMap<TableName, TableName> {
        let renamed = self.sources.iter();
        renamed
            .filter(|(place, source)| place != source)
            .map(|(place, source)| (place.clone(), source.clone()))
            .collect()
    }

    /// The columns of one of the source's tables.
    pub fn columns(&self, table: &TableName) -> ColumnMap {
        self.columns.get(table).cloned().unwrap_or_default()
    }

    /// Which rows of one of the source's tables are moved.
    pub fn condition(&self, table: &TableName) -> Option<&str> {
        self.conditions.get(table).map(String::as_str)
    }

    /// The columns that stay behind, by table.
    pub fn left_out(&self) -> BTreeMap<TableName, BTreeSet<String>> {
        let tables = self.columns.iter().map(|(table, columns)| {
            let names: BTreeSet<String> = columns.left_out().map(str::to_owned).collect();
            (table.clone(), names)
        });
        tables.filter(|(_, names)| !names.is_empty()).collect()
    }
}

/// Each table's topmost ancestor among them.
pub(super) fn roots(tables: &[Table]) -> HashMap<TableName, TableName> {
    let lineage = Lineage::of(tables);
    let known: HashSet<&TableName> = tables.iter().map(|table| &table.name).collect();
    let root = |table: &Table| {
        let known = lineage
            .from(&table.name)
            .filter(|name| known.contains(name));
        known.last().unwrap_or(&table.name).clone()
    };
    tables
        .iter()
        .map(|table| (table.name.clone(), root(table)))
        .collect()
}

fn columns(transform: &Transform, root: &TableName, table: &Table, naming: Naming) -> ColumnMap {
    let mut map = ColumnMap::same();
    for column in &*table.shape.columns {
        match transform.column(root, &column.name) {
            None => map.leave_out(column.name.as_str()),
            Some(new) if new != column.name && naming == Naming::Final => {
                map.rename(column.name.as_str(), new);
            }
            Some(_) => {}
        }
    }
    map
}

impl Transform {
    /// Refuses rules that match nothing, that lead two things to one name, or that are more
    /// than one for the same name.
    pub fn refuse_unfit(&self, tables: &[Table]) -> Result<(), LoadError> {
        if self.is_none() {
            return Ok(());
        }
        self.refuse_unmatched(tables)?;
        self.refuse_several(tables)?;
        let layout = Layout::new(self, tables, Naming::Final);
        let mut taken: HashMap<&TableName, &TableName> = HashMap::new();
        for table in tables {
            let place = layout.place(&table.name);
            if let Some(other) = taken.insert(place, &table.name) {
                let name = &table.name;
                return Err(refused(format!("{other} and {name} would both be {place}")));
            }
            refuse_name(&place.schema, &table.name.to_string())?;
            refuse_name(&place.name, &table.name.to_string())?;
            if crate::scope::is_reserved(&place.schema) {
                let why = format!(
                    "{} cannot stand at {place}: that schema is reserved",
                    table.name
                );
                return Err(refused(why));
            }
            let columns = layout.columns(&table.name);
            refuse_columns(table, &columns)?;
            if columns.is_same() {
                continue;
            }
            let mut heirs = tables.iter();
            if let Some(heir) = heirs.find(|heir| heir.origin.inherits.contains(&table.name)) {
                return Err(refused(format!(
                    "{} inherits from {}: the columns of neither can be renamed or left out",
                    heir.name, table.name
                )));
            }
        }
        Ok(())
    }

    fn refuse_unmatched(&self, tables: &[Table]) -> Result<(), LoadError> {
        let roots = roots(tables);
        let is_root = |table: &&Table| roots[&table.name] == table.name;
        let matched = |rule: &Rule| {
            let of = |table: &&Table| {
                rule.schema.matches(&table.name.schema) && rule.table.matches(&table.name.name)
            };
            let mut found = tables.iter().filter(of);
            match &rule.action {
                Action::Place(_) | Action::Schema(_) | Action::Table(_) => found.next().is_some(),
                Action::Column(column, _) | Action::LeaveOut(column) | Action::KeepOnly(column) => {
                    let mut roots = found.filter(is_root);
                    roots.any(|table| table.shape.columns.iter().any(|c| column.matches(&c.name)))
                }
            }
        };
        if let Some(rule) = self.rules.iter().find(|rule| !matched(rule)) {
            return Err(refused(format!(
                "{}: \"{rule}\" matches nothing on the source that is moved (columns of a \
                 partition go by its partitioned table)",
                rule.label
            )));
        }
        let covered = |filter: &&super::Filter| {
            if filter.condition.is_none() {
                return true;
            }
            let mut found = tables.iter().filter(is_root);
            found.any(|table| {
                filter.schema.matches(&table.name.schema) && filter.table.matches(&table.name.name)
            })
        };
        match self.filters.iter().find(|filter| !covered(filter)) {
            None => Ok(()),
            Some(filter) => Err(refused(format!(
                "{}: the row filter of {}.{} matches no table that is moved (rows of a partition \
                 go by its partitioned table)",
                filter.label, filter.schema, filter.table
            ))),
        }
    }

    /// Two rules that both change one name, or two filters for one table, could be read in
    /// two ways.
    fn refuse_several(&self, tables: &[Table]) -> Result<(), LoadError> {
        let several = |what: String, rules: &[&str]| match rules {
            [one, other, ..] => Err(refused(format!(
                "more than one rule is about {what}: {one}, and {other}"
            ))),
            _ => Ok(()),
        };
        let roots = roots(tables);
        for (name, root) in &roots {
            let rules: Vec<&Rule> = self.about(name).collect();
            let placed = rules.iter().any(|r| matches!(r.action, Action::Place(_)));
            let labels = |of: &dyn Fn(&Action) -> bool| -> Vec<&str> {
                let found = rules.iter().filter(|rule| of(&rule.action));
                found.map(|rule| rule.label.as_str()).collect()
            };
            let places = labels(&|action| matches!(action, Action::Place(_)));
            several(format!("where {name} stands"), &places)?;
            if !placed {
                let schemas = labels(
                    &|action| matches!(action, Action::Schema(to) if to.of(&name.schema) != name.schema),
                );
                several(format!("the schema of {name}"), &schemas)?;
                let names = labels(
                    &|action| matches!(action, Action::Table(to) if to.of(&name.name) != name.name),
                );
                several(format!("the name of {name}"), &names)?;
            }
            if root == name {
                let filters = self.filters.iter().filter(|filter| {
                    filter.schema.matches(&name.schema) && filter.table.matches(&name.name)
                });
                let filters: Vec<_> = filters.collect();
                if filters.iter().any(|filter| filter.condition.is_some()) {
                    let labels = filters.iter().map(|filter| filter.label.as_str());
                    several(format!("the rows of {name}"), &labels.collect::<Vec<_>>())?;
                }
            }
        }
        for table in tables
            .iter()
            .filter(|table| roots[&table.name] == table.name)
        {
            for column in &*table.shape.columns {
                let rules = self.about(&table.name).filter(|rule| match &rule.action {
                    Action::Column(pick, to) => {
                        pick.matches(&column.name) && to.of(&column.name) != column.name
                    }
                    Action::LeaveOut(pick) => pick.matches(&column.name),
                    _ => false,
                });
                let labels: Vec<&str> = rules.map(|rule| rule.label.as_str()).collect();
                several(format!("{}.{}", table.name, column.name), &labels)?;
            }
        }
        Ok(())
    }
}

fn refuse_columns(table: &Table, columns: &ColumnMap) -> Result<(), LoadError> {
    if columns.is_same() {
        return Ok(());
    }
    let name = &table.name;
    let related = !table.origin.inherits.is_empty();
    if related || table.origin.extension_condition.is_some() {
        let why = if related {
            "inherits from another table"
        } else {
            "belongs to an extension"
        };
        return Err(refused(format!(
            "{name} {why}: its columns can be neither renamed nor left out"
        )));
    }
    let mut taken = HashSet::new();
    for column in &*table.shape.columns {
        let Some(new) = columns.there(&column.name) else {
            refuse_needed(table, &column.name)?;
            continue;
        };
        refuse_name(new, &format!("{name}.{}", column.name))?;
        if !taken.insert(new) {
            return Err(refused(format!(
                "two columns of {name} would both be called {new}"
            )));
        }
    }
    if taken.is_empty() {
        return Err(refused(format!("every column of {name} is left out")));
    }
    Ok(())
}

/// Rows are found by their key: without it no change could be applied.
fn refuse_needed(table: &Table, column: &str) -> Result<(), LoadError> {
    use trunkline_changes::ReplicaIdentity::{Default, Full, Index, Nothing};
    let of_identity = match table.shape.identity {
        Default | Index => table
            .shape
            .identity_columns
            .iter()
            .any(|name| name == column),
        Full | Nothing => false,
    };
    if of_identity || table.shape.primary_key.iter().any(|name| name == column) {
        return Err(refused(format!(
            "{}.{column} cannot be left out: rows are told apart by it",
            table.name
        )));
    }
    Ok(())
}

fn refuse_name(name: &str, of: &str) -> Result<(), LoadError> {
    if name.is_empty() || name.len() > NAME_BYTES || name.contains('\0') {
        return Err(refused(format!(
            "\"{name}\", the new name of {of}, is not one that PostgreSQL takes (1 to {NAME_BYTES} \
             bytes)"
        )));
    }
    Ok(())
}
