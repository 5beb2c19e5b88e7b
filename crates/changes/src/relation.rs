//! What the change stream says of a table: its columns and how its rows are told apart.

use crate::TableName;

/// How the source tells a table's rows apart in the stream
/// (`pg_class.relreplident`; manual, section 31.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReplicaIdentity {
    /// The primary key, if there is one.
    #[default]
    Default,
    /// No old values: updates and deletes cannot be streamed.
    Nothing,
    /// The whole old row.
    Full,
    /// The columns of a unique index.
    Index,
}

impl ReplicaIdentity {
    /// From the letter of `pg_class.relreplident` and of the Relation message.
    pub fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'd' => ReplicaIdentity::Default,
            b'n' => ReplicaIdentity::Nothing,
            b'f' => ReplicaIdentity::Full,
            b'i' => ReplicaIdentity::Index,
            _ => return None,
        })
    }
}

/// A column as the Relation message describes it (manual, section 55.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name, unquoted.
    pub name: String,
    /// Whether it belongs to the replica identity's key. With [`ReplicaIdentity::Full`]
    /// every column is marked.
    pub key: bool,
    /// The source's type OID: meaningful on the source only.
    pub type_oid: u32,
    /// The type modifier (`atttypmod`), -1 when there is none.
    pub type_modifier: i32,
}

/// A table as it stood when the changes that follow were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The table's OID on the source.
    pub id: u32,
    /// Its name.
    pub name: TableName,
    /// How its rows are told apart.
    pub identity: ReplicaIdentity,
    /// Its columns in the order of every row's values; generated columns are not sent.
    pub columns: Vec<Column>,
}

impl Relation {
    /// The indexes of the key columns, in column order.
    pub fn key(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.columns.len()).filter(|&index| self.columns[index].key)
    }
}
