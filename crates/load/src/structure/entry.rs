//! One entry of `pg_dump`'s table of contents: an object, or a property of one.

use std::fmt;

/// When `pg_dump` would make an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Before the rows.
    PreData,
    /// After the rows.
    PostData,
}

/// An entry with the SQL that makes it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `pg_dump`'s number for it, of this dump only.
    pub id: u32,
    /// The catalog that its OID is of, 0 for a property (a comment, a grant).
    pub class: u32,
    /// Its OID on the source.
    pub oid: u32,
    /// `TABLE`, `INDEX`, `FK CONSTRAINT`, ….
    pub kind: String,
    /// Its schema; empty when it has none.
    pub schema: String,
    /// `pg_dump`'s name for it: for what belongs to a table, the table's name comes first.
    pub name: String,
    /// Entries that it needs.
    pub needs: Vec<u32>,
    /// Before or after the rows.
    pub section: Section,
    /// Which of the entries of the same kind, schema and name, from 0.
    pub ordinal: i32,
    /// What makes it.
    pub sql: String,
}

impl Entry {
    /// Whether it makes an index that keeps rows apart.
    pub(crate) fn is_unique_index(&self) -> bool {
        self.kind == "INDEX" && self.sql.trim_start().starts_with("CREATE UNIQUE INDEX")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}.{}", self.kind, self.schema, self.name)
        }
    }
}

/// An entry that is not made on the target, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Kind and name.
    pub entry: String,
    /// Why.
    pub reason: String,
    /// Whether it belongs to something that is made, or to nothing that is left out by
    /// itself: nobody asked to leave it out.
    pub by_consequence: bool,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was left out: {}", self.entry, self.reason)
    }
}
