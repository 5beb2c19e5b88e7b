//! What an object of a database is called: its kind, and its name as people read it.

use std::fmt;

use serde::Serialize;
use trunkline_changes::quote_ident;

/// A kind of object, in the order in which differences are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A schema.
    Schema,
    /// An extension.
    Extension,
    /// An enum, domain, composite, range or base type.
    Type,
    /// A table: ordinary, partitioned, a partition, or foreign.
    Table,
    /// A column of a table.
    Column,
    /// A constraint of a table or a domain.
    Constraint,
    /// An index.
    Index,
    /// A sequence.
    Sequence,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A function, procedure or aggregate, named with its argument types.
    Function,
    /// A trigger of a table or view.
    Trigger,
    /// A rule of a table or view.
    Rule,
    /// A row security policy.
    Policy,
    /// What one role may do with one object.
    Grant,
    /// An event trigger.
    EventTrigger,
}

const NAMES: [(ObjectKind, &str); 16] = [
    (ObjectKind::Schema, "schema"),
    (ObjectKind::Extension, "extension"),
    (ObjectKind::Type, "type"),
    (ObjectKind::Table, "table"),
    (ObjectKind::Column, "column"),
    (ObjectKind::Constraint, "constraint"),
    (ObjectKind::Index, "index"),
    (ObjectKind::Sequence, "sequence"),
    (ObjectKind::View, "view"),
    (ObjectKind::MaterializedView, "materialized view"),
    (ObjectKind::Function, "function"),
    (ObjectKind::Trigger, "trigger"),
    (ObjectKind::Rule, "rule"),
    (ObjectKind::Policy, "policy"),
    (ObjectKind::Grant, "grant"),
    (ObjectKind::EventTrigger, "event trigger"),
];

impl ObjectKind {
    /// As reports and our queries say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(kind, _)| *kind == self);
        found.map_or("object", |(_, name)| name)
    }

    /// The kind that [`ObjectKind::name`] gives this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One object of a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectId {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name, quoted where it must be, such as `public.orders.note`, `public.f(integer)` or
    /// (of a grant) `table public.orders to reader`.
    pub name: String,
}

impl ObjectId {
    /// From the parts of a name as the catalogs spell them.
    pub(crate) fn new(kind: ObjectKind, parts: &[String], arguments: Option<&str>) -> Self {
        let parts: Vec<_> = parts.iter().map(|part| readable(part)).collect();
        let name = parts.join(".") + arguments.unwrap_or_default();
        ObjectId { kind, name }
    }

    /// What `receiver` may do with this object.
    pub(crate) fn granted_to(&self, receiver: &str) -> Self {
        ObjectId {
            kind: ObjectKind::Grant,
            name: format!("{self} to {receiver}"),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A name that needs no quotes is read without them; keywords are not asked after, because
/// each version has others.
pub(crate) fn readable(name: &str) -> String {
    if is_plain(name) {
        name.to_owned()
    } else {
        quote_ident(name)
    }
}

/// Whether a name is written without quotes.
pub(crate) fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
