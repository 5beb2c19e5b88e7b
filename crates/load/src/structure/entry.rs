//! One entry of `pg_dump`'s table of contents: an object, or a property of one.

use std::fmt;

use smol_str::SmolStr;

use super::script::Script;
use crate::error::LoadError;

/// When `pg_dump` would make an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Before the rows.
    PreData,
    /// After the rows.
    PostData,
}

/// An entry, and where the SQL lies that makes it. Of very many tables the entries are much:
/// short names lie in it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `pg_dump`'s number for it, of this dump only.
    pub id: u32,
    /// The catalog that its OID is of, 0 for a property (a comment, a grant).
    pub class: u32,
    /// Its OID on the source.
    pub oid: u32,
    /// `TABLE`, `INDEX`, `FK CONSTRAINT`, ….
    pub kind: SmolStr,
    /// Its schema; empty when it has none.
    pub schema: SmolStr,
    /// `pg_dump`'s name for it: for what belongs to a table, the table's name comes first.
    pub name: SmolStr,
    /// Entries that it needs.
    pub needs: Box<[u32]>,
    /// Before or after the rows.
    pub section: Section,
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
    /// The SQL that makes it.
    pub(crate) fn sql(&self) -> Result<String, LoadError> {
        self.script.read()
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
