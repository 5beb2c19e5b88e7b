//! One table of the stream: its lines put into messages. The columns of a line decide; the
//! catalog, which is of today while the line may be of yesterday, only says what the line
//! does not: what is generated, and what the key of an update without an old row is.

use super::catalog::{ColumnFacts, TableFacts};
use super::line::{Cells, Operation, Unreadable};
use super::message::{self, Frame};
use super::shape::{Shape, ShapeColumn};
use crate::error::StreamError;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::HashMap;
use trunkline_changes::{ReplicaIdentity, TableName};

/// What is known of a table.
pub(crate) struct Table {
    id: u32,
    name: TableName,
    inserts_only: bool,
    identity: ReplicaIdentity,
    facts: HashMap<Vec<u8>, ColumnFacts>,
    shape: Shape,
    relation: Bytes,
    /// The streamed transaction, or 0 for those sent whole, in which the reader of the
    /// messages knows the shape.
    described: Option<u64>,
}

/// What became of a line.
pub(super) enum Outcome {
    /// The messages, in order.
    Messages(Option<Bytes>, Option<Bytes>),
    /// A column is not known: the catalog is to be asked.
    UnknownColumn,
}

impl Table {
    /// A table by its name in the lines; without facts when it is gone.
    pub(super) fn new(
        id: u32,
        name: TableName,
        inserts_only: bool,
        facts: Option<&TableFacts>,
    ) -> Result<Self, Unreadable> {
        let mut table = Table {
            id,
            name,
            inserts_only,
            identity: ReplicaIdentity::Default,
            facts: HashMap::new(),
            shape: Shape {
                identity: ReplicaIdentity::Default,
                columns: Vec::new(),
            },
            relation: Bytes::new(),
            described: None,
        };
        let mut columns = Vec::new();
        if let Some(facts) = facts {
            table.learn(facts);
            columns.extend(facts.columns.iter().map(ShapeColumn::of));
        }
        table.reshape(Shape {
            identity: table.identity,
            columns,
        })?;
        Ok(table)
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Columns that were known and are gone stay known.
    pub(super) fn learn(&mut self, facts: &TableFacts) {
        self.identity = facts.identity;
        for column in &facts.columns {
            self.facts.insert(column.raw.clone(), column.clone());
        }
    }

    /// The reader of the messages has to be told anew.
    pub(super) fn forget_described(&mut self) {
        self.described = None;
    }

    fn reshape(&mut self, shape: Shape) -> Result<(), Unreadable> {
        if shape != self.shape || self.relation.is_empty() {
            self.relation = shape.relation(self.id, &self.name, &self.facts)?.freeze();
            self.shape = shape;
            self.described = None;
        }
        Ok(())
    }

    /// The Relation message, unless it is known in that transaction.
    pub(super) fn describe(&mut self, frame: Frame, transaction: u64) -> Option<Bytes> {
        let known = match frame {
            Frame::Plain => self.described.is_some(),
            Frame::Streamed { .. } => self.described == Some(transaction),
        };
        self.described = Some(transaction);
        (!known).then(|| message::relation(frame, &self.relation))
    }

    /// Puts a change into messages. `asked`: the catalog was asked for this line already.
    pub(super) fn change(
        &mut self,
        operation: Operation<'_>,
        (frame, transaction): (Frame, u64),
        asked: bool,
    ) -> Result<Outcome, StreamError> {
        if self.inserts_only && !matches!(operation, Operation::Insert(_)) {
            return Ok(Outcome::Messages(None, None));
        }
        let kind = match operation {
            Operation::Insert(_) => b'I',
            Operation::Update(_) => b'U',
            Operation::Delete(_) => b'D',
        };
        let (old, new) = operation.rows()?;
        if old.or(new).is_some_and(Cells::are_missing) {
            return Err(self.without_key());
        }
        let bytes = if let Some(bytes) = self.write(kind, (old, new), frame)? {
            bytes
        } else {
            if self.meets_unknown(old, new, asked)? {
                return Ok(Outcome::UnknownColumn);
            }
            let wanted = self.shape_of(kind, old, new)?;
            self.reshape(wanted)?;
            let bytes = self.write(kind, (old, new), frame)?;
            bytes.ok_or(Unreadable("the columns of an old and a new row differ"))?
        };
        let relation = self.describe(frame, transaction);
        Ok(Outcome::Messages(relation, Some(bytes)))
    }

    /// The message, if the line has the shape that is known.
    fn write(
        &self,
        kind: u8,
        (old, new): (Option<Cells<'_>>, Option<Cells<'_>>),
        frame: Frame,
    ) -> Result<Option<Bytes>, Unreadable> {
        let full = self.shape.identity == ReplicaIdentity::Full;
        if kind == b'U' && old.is_none() && (full || !self.shape.has_key()) {
            return Ok(None);
        }
        let bytes = old.map_or(0, Cells::bytes) + new.map_or(0, Cells::bytes);
        let mut out = message::headed(kind, frame, bytes);
        out.put_u32(self.id);
        if let Some(old) = old {
            out.put_u8(if full { b'O' } else { b'K' });
            match self.shape.put_old(&mut out, old)? {
                Some(present) if full || self.shape.is_key(&present) => {}
                _ => return Ok(None),
            }
        }
        if let Some(new) = new
            && !self.shape.put_new(&mut out, new)?
        {
            return Ok(None);
        }
        Ok(Some(out.freeze()))
    }

    /// Whether the line has a column that the catalog was not asked for yet. What it does not
    /// know either was dropped or renamed since, and is a column like any other.
    fn meets_unknown(
        &mut self,
        old: Option<Cells<'_>>,
        new: Option<Cells<'_>>,
        asked: bool,
    ) -> Result<bool, Unreadable> {
        let mut unknown = false;
        for cells in [old, new].into_iter().flatten() {
            for column in columns_of(cells)? {
                if self.facts.contains_key(column.raw_name()) {
                    continue;
                }
                unknown = true;
                if asked {
                    self.facts.insert(column.raw_name().to_vec(), gone(&column));
                }
            }
        }
        Ok(unknown && !asked)
    }

    /// The shape that a line tells of.
    fn shape_of(
        &self,
        kind: u8,
        old: Option<Cells<'_>>,
        new: Option<Cells<'_>>,
    ) -> Result<Shape, StreamError> {
        let mut columns = match (old, new) {
            (_, Some(new)) => columns_of(new)?,
            (Some(old), None) if !self.holds(old)? => columns_of(old)?,
            _ => self.shape.columns.clone(),
        };
        let full = self.identity == ReplicaIdentity::Full;
        for column in &mut columns {
            let facts = self.facts.get(column.raw_name());
            column.sent = facts.is_none_or(|facts| !facts.generated);
            column.key = facts.is_some_and(|facts| facts.key);
        }
        let mut shape = Shape {
            identity: self.identity,
            columns,
        };
        match old {
            Some(_) if full => shape.whole_row(),
            Some(old) => {
                let mut scratch = BytesMut::new();
                let present = shape.put_old(&mut scratch, old)?;
                let present = present.ok_or(Unreadable("an old row has a column of its own"))?;
                shape.by_old_row(&present);
            }
            None if kind == b'U' && (full || !shape.has_key()) => {
                for column in &mut shape.columns {
                    let facts = self.facts.get(column.raw_name());
                    column.key = facts.is_some_and(|facts| facts.primary);
                }
                shape.identity = ReplicaIdentity::Default;
                if !shape.has_key() {
                    return Err(self.without_key());
                }
            }
            None => {}
        }
        Ok(shape)
    }

    /// Whether an old row's columns are among those known.
    fn holds(&self, old: Cells<'_>) -> Result<bool, Unreadable> {
        let mut scratch = BytesMut::new();
        Ok(self.shape.put_old(&mut scratch, old)?.is_some())
    }

    fn without_key(&self) -> StreamError {
        StreamError::WithoutKey {
            table: self.name.clone(),
        }
    }
}

fn columns_of(mut cells: Cells<'_>) -> Result<Vec<ShapeColumn>, Unreadable> {
    let mut columns = Vec::new();
    while let Some(cell) = cells.next_cell()? {
        columns.push(ShapeColumn {
            head: cell.head.to_vec(),
            name_bytes: cell.name_bytes,
            sent: true,
            key: false,
        });
    }
    Ok(columns)
}

/// What is taken to hold of a column that is not in the catalog any more.
fn gone(column: &ShapeColumn) -> ColumnFacts {
    ColumnFacts {
        raw: column.raw_name().to_vec(),
        raw_type: Vec::new(),
        generated: false,
        key: false,
        primary: false,
        type_oid: 0,
        type_modifier: -1,
    }
}
