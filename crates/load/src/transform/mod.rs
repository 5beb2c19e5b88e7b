//! What becomes of names, columns and rows on the way from the source to the target. Pure:
//! rules are read once, from a plan or from a table mapping of AWS DMS, and then asked about
//! one name after the other. [`Layout`] is what they say of the tables that there are.

mod dms;
mod layout;
pub(crate) mod leaving_out;
mod moving;
mod pick;
mod rename;

use std::collections::BTreeMap;
use std::fmt;

use trunkline_changes::TableName;
use trunkline_postgres::Session;

use crate::catalog::Table;
use crate::error::LoadError;
pub use dms::Mappings;
pub use layout::{Layout, Naming};
pub use moving::{Moving, Renames};
use pick::Pick;
use rename::Rename;

/// The rules of a migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transform {
    rules: Vec<Rule>,
    filters: Vec<Filter>,
}

/// What a rule is about and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// How errors name it.
    label: String,
    schema: Pick,
    table: Pick,
    action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// The table stands there; before every other rule about its name.
    Place(TableName),
    Schema(Rename),
    Table(Rename),
    Column(Pick, Rename),
    LeaveOut(Pick),
    /// Columns of which no rule says so are left out.
    KeepOnly(Pick),
}

/// Which rows of a table are moved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    label: String,
    schema: Pick,
    table: Pick,
    /// An expression over the source's columns; none for all of them.
    condition: Option<String>,
}

/// What a plan says of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableRules {
    /// Where it stands on the target, if elsewhere.
    pub to: Option<TableName>,
    /// Columns that stay behind.
    pub leave_out: Vec<String>,
    /// Columns with another name: the source's, the target's.
    pub rename_columns: BTreeMap<String, String>,
    /// Which rows are moved: an expression over the source's columns, which stays between
    /// parentheses that are put round it.
    pub condition: Option<String>,
}

impl Transform {
    /// Everything as it is on the source.
    pub fn none() -> Self {
        Transform::default()
    }

    /// Whether everything stays as it is.
    pub fn is_none(&self) -> bool {
        self.rules.is_empty() && !self.filters_rows()
    }

    /// Whether rows or columns stay behind, by a rule.
    pub fn leaves_something_behind(&self) -> bool {
        let stays = |rule: &Rule| matches!(rule.action, Action::LeaveOut(_) | Action::KeepOnly(_));
        self.filters_rows() || self.rules.iter().any(stays)
    }

    /// Whether rows are filtered.
    pub fn filters_rows(&self) -> bool {
        self.filters.iter().any(|filter| filter.condition.is_some())
    }

    /// The tables of one schema stand in another.
    pub fn rename_schema(&mut self, schema: &str, to: &str) {
        self.rules.push(Rule {
            label: format!("rename_schemas: {schema}"),
            schema: Pick::exactly(schema),
            table: Pick::any(),
            action: Action::Schema(Rename::To(to.to_owned())),
        });
    }

    /// What a plan says of one table, a partitioned one with all its partitions.
    pub fn add_table(&mut self, table: &TableName, rules: TableRules) {
        let (schema, name) = (Pick::exactly(&table.schema), Pick::exactly(&table.name));
        let label = format!("transform of {table}");
        let mut push = |action: Action| {
            self.rules.push(Rule {
                label: label.clone(),
                schema: schema.clone(),
                table: name.clone(),
                action,
            });
        };
        if let Some(to) = rules.to {
            push(Action::Place(to));
        }
        for column in &rules.leave_out {
            push(Action::LeaveOut(Pick::exactly(column)));
        }
        for (from, to) in rules.rename_columns {
            push(Action::Column(Pick::exactly(&from), Rename::To(to)));
        }
        if rules.condition.is_some() {
            self.filters.push(Filter {
                label,
                schema,
                table: name,
                condition: rules.condition,
            });
        }
    }

    /// Where a table stands on the target, by its name alone.
    pub fn place(&self, table: &TableName) -> TableName {
        let mut place = table.clone();
        for rule in self.about(table) {
            match &rule.action {
                Action::Place(to) => return to.clone(),
                Action::Schema(rename) => place.schema = rename.of(&table.schema).into(),
                Action::Table(rename) => place.name = rename.of(&table.name).into(),
                Action::Column(..) | Action::LeaveOut(_) | Action::KeepOnly(_) => {}
            }
        }
        place
    }

    /// A column's name on the target; `None` when it stays behind.
    pub fn column(&self, table: &TableName, column: &str) -> Option<String> {
        let (mut name, mut kept) = (column.to_owned(), None);
        for rule in self.about(table) {
            match &rule.action {
                Action::LeaveOut(pick) if pick.matches(column) => return None,
                Action::KeepOnly(pick) => {
                    kept = Some(kept.unwrap_or(false) || pick.matches(column));
                }
                Action::Column(pick, rename) if pick.matches(column) => name = rename.of(column),
                _ => {}
            }
        }
        (kept != Some(false)).then_some(name)
    }

    /// Which rows of a table are moved, as an expression; `None` for all of them.
    pub fn condition(&self, table: &TableName) -> Option<&str> {
        let of = |filter: &&Filter| {
            filter.schema.matches(&table.schema) && filter.table.matches(&table.name)
        };
        let mut filters = self.filters.iter().filter(of);
        filters.find_map(|filter| filter.condition.as_deref())
    }

    fn about<'a>(&'a self, table: &'a TableName) -> impl Iterator<Item = &'a Rule> {
        self.rules
            .iter()
            .filter(|rule| rule.schema.matches(&table.schema) && rule.table.matches(&table.name))
    }

    /// Refuses what cannot be done with the source's tables; gives what needs a column that
    /// stays behind, and is left out with it.
    pub async fn examine(
        &self,
        source: &mut Session,
        tables: &[Table],
    ) -> Result<Vec<String>, LoadError> {
        self.refuse_unfit(tables)?;
        let left_out = Layout::new(self, tables, Naming::Final).left_out();
        let users = leaving_out::read_users(source, &left_out).await?;
        let said = users
            .iter()
            .filter(|((class, _), _)| *class != leaving_out::DEFAULTS);
        let mut found: Vec<String> = said
            .map(|(_, user)| format!("{}: it needs {}", user.description, user.column))
            .collect();
        found.sort();
        Ok(found)
    }

    /// The rules in words, a line each: what a migration began with and must keep.
    pub fn describe(&self) -> Vec<String> {
        let rules = self.rules.iter().map(ToString::to_string);
        let filters = self.filters.iter().filter_map(|filter| {
            let Filter { schema, table, .. } = filter;
            let condition = filter.condition.as_ref()?;
            Some(format!("{schema}.{table}: only rows where {condition}"))
        });
        rules.chain(filters).collect()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (schema, table) = (&self.schema, &self.table);
        match &self.action {
            Action::Place(to) => write!(f, "{schema}.{table}: stands at {to}"),
            Action::Schema(rename) => write!(f, "{schema}.{table}: its schema {rename}"),
            Action::Table(rename) => write!(f, "{schema}.{table}: {rename}"),
            Action::Column(column, rename) => write!(f, "{schema}.{table}.{column}: {rename}"),
            Action::LeaveOut(column) => write!(f, "{schema}.{table}.{column}: left out"),
            Action::KeepOnly(column) => write!(f, "{schema}.{table}.{column}: taken, no other"),
        }
    }
}

fn refused(why: impl Into<String>) -> LoadError {
    LoadError::Transform { why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TableName {
        TableName::new("public", text)
    }

    #[test]
    fn what_is_said_of_a_table_goes_before_what_is_said_of_its_schema() {
        let mut transform = Transform::none();
        transform.rename_schema("public", "app");
        let to = TableName::new("sales", "bills");
        transform.add_table(
            &name("orders"),
            TableRules {
                to: Some(to.clone()),
                ..TableRules::default()
            },
        );
        assert_eq!(transform.place(&name("orders")), to);
        assert_eq!(
            transform.place(&name("users")),
            TableName::new("app", "users")
        );
        let other = TableName::new("other", "orders");
        assert_eq!(transform.place(&other), other);
    }

    #[test]
    fn columns_are_renamed_and_left_out_by_name() {
        let mut transform = Transform::none();
        transform.add_table(
            &name("orders"),
            TableRules {
                leave_out: vec!["secret".to_owned()],
                rename_columns: [("a".to_owned(), "b".to_owned())].into(),
                condition: Some("region = 'eu'".to_owned()),
                ..TableRules::default()
            },
        );
        assert_eq!(transform.column(&name("orders"), "secret"), None);
        assert_eq!(transform.column(&name("orders"), "a").as_deref(), Some("b"));
        assert_eq!(transform.column(&name("orders"), "c").as_deref(), Some("c"));
        assert_eq!(transform.column(&name("users"), "a").as_deref(), Some("a"));
        assert_eq!(transform.condition(&name("orders")), Some("region = 'eu'"));
        assert_eq!(transform.condition(&name("users")), None);
        assert!(transform.leaves_something_behind());
        assert_eq!(transform.describe().len(), 3);
    }
}
