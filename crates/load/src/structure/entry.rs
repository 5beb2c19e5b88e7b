//! One entry of `pg_dump`'s table of contents: an object, or a property of one.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::script::Script;
use crate::error::LoadError;

/// When `pg_dump` would make an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// Before the rows.
    PreData,
    /// After the rows.
    PostData,
}

/// What the entries of one kind in one schema have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub(crate) class: u32,
    pub(crate) kind: SmolStr,
    pub(crate) schema: SmolStr,
    pub(crate) section: Section,
}

/// An entry, and where the SQL lies that makes it. Of very many tables the entries are much:
/// short names lie in it, and what is alike is held once.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) group: Arc<Group>,
    /// `pg_dump`'s number for it, of this dump only.
    pub id: u32,
    /// Its OID on the source.
    pub oid: u32,
    /// `pg_dump`'s name for it: for what belongs to a table, the table's name comes first.
    pub name: SmolStr,
    /// Entries that it needs.
    pub needs: Box<[u32]>,
    /// Which of the entries of the same kind, schema and name, from 0.
    pub ordinal: i32,
    /// Whether it makes an index that keeps rows apart.
    pub(crate) unique_index: bool,
    /// Whether it is a constraint whose index may be built first.
    pub(crate) splits: bool,
    /// Where the SQL lies that makes it.
    pub(crate) script: Script,
}

impl Entry {
    /// `TABLE`, `INDEX`, `FK CONSTRAINT`, ….
    pub fn kind(&self) -> &SmolStr {
        &self.group.kind
    }

    /// Its schema; empty when it has none.
    pub fn schema(&self) -> &SmolStr {
        &self.group.schema
    }

    /// The catalog that its OID is of, 0 for a property (a comment, a grant).
    pub fn class(&self) -> u32 {
        self.group.class
    }

    /// Before or after the rows.
    pub fn section(&self) -> Section {
        self.group.section
    }

    /// One of which only this is known, of the catalog `pg_class`.
    #[cfg(test)]
    pub(crate) fn bare(id: u32, kind: &str, schema: &str, name: &str, needs: &[u32]) -> Self {
        Entry {
            group: Arc::new(Group {
                class: 1259,
                kind: kind.into(),
                schema: schema.into(),
                section: Section::PreData,
            }),
            id,
            oid: id + 1000,
            name: name.into(),
            needs: needs.into(),
            ordinal: 0,
            unique_index: false,
            splits: false,
            script: Script::default(),
        }
    }

    /// The SQL that makes it.
    pub(crate) fn sql(&self) -> Result<String, LoadError> {
        self.script.read()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema().is_empty() {
            write!(f, "{} {}", self.kind(), self.name)
        } else {
            write!(f, "{} {}.{}", self.kind(), self.schema(), self.name)
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
