//! Which columns the lines of a table have, and how its rows are told apart: what a Relation
//! message of `pgoutput` says.

use super::catalog::ColumnFacts;
use super::line::{Cells, Unreadable, unquoted};
use super::message::put_value;
use bytes::{BufMut, BytesMut};
use std::collections::HashMap;
use trunkline_changes::{ReplicaIdentity, TableName};

/// One column, as lines have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShapeColumn {
    /// `name[type]`.
    pub(super) head: Vec<u8>,
    /// How many bytes of it are the name.
    pub(super) name_bytes: usize,
    /// Generated columns are printed, and not passed on.
    pub(super) sent: bool,
    pub(super) key: bool,
}

impl ShapeColumn {
    pub(super) fn of(column: &ColumnFacts) -> Self {
        let mut head = column.raw.clone();
        head.push(b'[');
        head.extend_from_slice(&column.raw_type);
        head.push(b']');
        ShapeColumn {
            head,
            name_bytes: column.raw.len(),
            sent: !column.generated,
            key: column.key,
        }
    }

    pub(super) fn raw_name(&self) -> &[u8] {
        &self.head[..self.name_bytes]
    }
}

/// The columns, in the order of the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) identity: ReplicaIdentity,
    pub(super) columns: Vec<ShapeColumn>,
}

/// Which columns of a shape an old row had.
pub(super) type Present = Vec<bool>;

impl Shape {
    /// Writes a whole row; `false` when it has other columns than these.
    pub(super) fn put_new(
        &self,
        out: &mut BytesMut,
        mut cells: Cells<'_>,
    ) -> Result<bool, Unreadable> {
        out.put_u8(b'N');
        out.put_u16(self.sent_count()?);
        for column in &self.columns {
            let Some(value) = cells.next_like(&column.head)? else {
                return Ok(false);
            };
            if column.sent {
                put_value(out, value);
            }
        }
        Ok(cells.is_empty())
    }

    /// Writes an old row, of which NULLs and all that is not part of a key are left out;
    /// `None` when it has a column that these are not.
    pub(super) fn put_old(
        &self,
        out: &mut BytesMut,
        mut cells: Cells<'_>,
    ) -> Result<Option<Present>, Unreadable> {
        let mut present = Vec::with_capacity(self.columns.len());
        out.put_u16(self.sent_count()?);
        for column in &self.columns {
            let value = cells.next_like(&column.head)?;
            present.push(value.is_some());
            match value {
                Some(value) if column.sent => put_value(out, value),
                None if column.sent => out.put_u8(b'n'),
                _ => {}
            }
        }
        Ok(cells.is_empty().then_some(present))
    }

    fn sent_count(&self) -> Result<u16, Unreadable> {
        let sent = self.columns.iter().filter(|column| column.sent).count();
        u16::try_from(sent).map_err(|_| Unreadable("more columns than a table can have"))
    }

    /// Whether an old row of these columns is a key of this shape.
    pub(super) fn is_key(&self, present: &Present) -> bool {
        let mut both = self.columns.iter().zip(present);
        both.all(|(column, &present)| !column.sent || column.key == present)
    }

    /// Takes the key from an old row: what the replica identity was when it was logged.
    pub(super) fn by_old_row(&mut self, present: &Present) {
        let mut both = self.columns.iter().zip(present);
        let beyond = both.all(|(column, &present)| !column.sent || !column.key || present);
        if self.is_key(present) {
            return;
        }
        if beyond && self.has_key() {
            return self.whole_row();
        }
        self.identity = ReplicaIdentity::Index;
        for (column, &present) in self.columns.iter_mut().zip(present) {
            column.key = present;
        }
    }

    /// Every column is key.
    pub(super) fn whole_row(&mut self) {
        self.identity = ReplicaIdentity::Full;
        for column in &mut self.columns {
            column.key = true;
        }
    }

    pub(super) fn has_key(&self) -> bool {
        self.columns.iter().any(|column| column.sent && column.key)
    }

    /// The Relation message, but for its kind and transaction.
    pub(super) fn relation(
        &self,
        id: u32,
        name: &TableName,
        facts: &HashMap<Vec<u8>, ColumnFacts>,
    ) -> Result<BytesMut, Unreadable> {
        let mut out = BytesMut::with_capacity(32 + 32 * self.columns.len());
        out.put_u32(id);
        put_name(&mut out, name.schema.as_bytes());
        put_name(&mut out, name.name.as_bytes());
        out.put_u8(match self.identity {
            ReplicaIdentity::Default => b'd',
            ReplicaIdentity::Nothing => b'n',
            ReplicaIdentity::Full => b'f',
            ReplicaIdentity::Index => b'i',
        });
        out.put_u16(self.sent_count()?);
        for column in self.columns.iter().filter(|column| column.sent) {
            out.put_u8(u8::from(column.key));
            put_name(&mut out, &unquoted(column.raw_name()));
            // What the catalog says of a column is about its type of today.
            let raw_type = &column.head[column.name_bytes + 1..column.head.len() - 1];
            let known = facts.get(column.raw_name());
            let known = known.filter(|facts| facts.raw_type == raw_type);
            out.put_u32(known.map_or(0, |facts| facts.type_oid));
            out.put_i32(known.map_or(-1, |facts| facts.type_modifier));
        }
        Ok(out)
    }
}

fn put_name(out: &mut BytesMut, name: &[u8]) {
    out.put_slice(name);
    out.put_u8(0);
}
