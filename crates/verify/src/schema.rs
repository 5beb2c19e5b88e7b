//! The structure of a database as its catalogs describe it, and how two of them differ.
//! Whatever the number of tables, one query is made for each kind of object. Nothing is
//! written, and only what every role may read is read. Servers write a definition under a
//! reader's lock, so reading waits for a session that has a table for itself.

mod aspect;
mod catalog;
mod differences;
mod display;
mod limits;
mod object;
mod spelling;
mod token;

use std::collections::BTreeMap;

use trunkline_changes::TableName;
use trunkline_postgres::{PgError, ServerVersion, Session};

use aspect::Fact;

pub use differences::{SchemaChange, SchemaDifference, schema_differences};
pub use object::{ObjectId, ObjectKind};

/// What a database is made of: its objects, and what is known of each.
///
/// Left out are owners, the order of columns, comments, storage, publications and
/// subscriptions, extended statistics, operators, casts, collations, text search, foreign
/// servers, default privileges, rights on types, the values of sequences, the schema `trunkline`
/// and what belongs to an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaDescription {
    pub(crate) version: ServerVersion,
    pub(crate) objects: BTreeMap<ObjectId, Described>,
}

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    /// What it cannot be without, such as a column's table.
    pub(crate) parent: Option<ObjectId>,
    /// What is known of it; what it does not have is not in here.
    pub(crate) aspects: BTreeMap<&'static str, Fact>,
}

impl SchemaDescription {
    /// Reads a database: all of it, or only the chosen tables with what hangs on them. It takes
    /// sixteen queries: in a REPEATABLE READ transaction they see one state of the catalogs.
    pub async fn read(session: &mut Session, only: Option<&[TableName]>) -> Result<Self, PgError> {
        let objects = catalog::read(session, only).await?;
        Ok(SchemaDescription {
            version: session.version(),
            objects,
        })
    }

    /// The objects, sorted by kind and name.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectId> {
        self.objects.keys()
    }

    /// What an object has, sorted by aspect; nothing for an object that is not there.
    pub fn aspects(&self, object: &ObjectId) -> impl Iterator<Item = (&'static str, &str)> {
        let described = self.objects.get(object);
        described
            .into_iter()
            .flat_map(|found| &found.aspects)
            .map(|(aspect, fact)| (*aspect, fact.text.as_str()))
    }
}
