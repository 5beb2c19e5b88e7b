//! Which columns a table has at the point of the stream where we are. Descriptions inside
//! of a streamed transaction are its own until it commits; then the one that arrived last
//! holds for what follows, because the server does not send it again.

use crate::error::StreamError;
use crate::pgoutput::Message;
use std::collections::HashMap;
use std::sync::Arc;
use trunkline_changes::{Change, OldRow, Relation, Row};

/// The tables that were described.
#[derive(Default)]
pub(crate) struct Relations {
    by_id: HashMap<u32, (Arc<Relation>, u64)>,
}

impl Relations {
    /// Takes a description that arrived as the message of that number.
    pub(crate) fn describe(&mut self, relation: Relation, arrival: u64) {
        let known = self.by_id.get(&relation.id);
        // The same description again keeps the same value, so that callers may compare by
        // pointer.
        let relation = match known {
            Some((known, _)) if **known == relation => Arc::clone(known),
            _ => Arc::new(relation),
        };
        self.by_id.insert(relation.id, (relation, arrival));
    }

    /// Takes over what a committed transaction described, unless something newer is known.
    pub(crate) fn merge(&mut self, other: Relations) {
        for (id, (relation, arrival)) in other.by_id {
            match self.by_id.get(&id) {
                Some((_, known)) if *known > arrival => {}
                _ => {
                    self.by_id.insert(id, (relation, arrival));
                }
            }
        }
    }

    fn find(&self, id: u32) -> Result<&Arc<Relation>, StreamError> {
        match self.by_id.get(&id) {
            Some((relation, _)) => Ok(relation),
            None => Err(StreamError::UndescribedTable { relation: id }),
        }
    }

    fn shaped(&self, id: u32, rows: [Option<&Row>; 2]) -> Result<Arc<Relation>, StreamError> {
        let relation = self.find(id)?;
        for row in rows.into_iter().flatten() {
            if row.len() != relation.columns.len() {
                return Err(StreamError::RowShape {
                    table: relation.name.clone(),
                    columns: relation.columns.len(),
                    values: row.len(),
                });
            }
        }
        Ok(Arc::clone(relation))
    }

    /// The change that a message makes, or `None` when it makes none.
    pub(crate) fn change(&self, message: Message) -> Result<Option<Change>, StreamError> {
        Ok(Some(match message {
            Message::Insert { relation, new } => Change::Insert {
                relation: self.shaped(relation, [Some(&new), None])?,
                new,
            },
            Message::Update { relation, old, new } => Change::Update {
                relation: self.shaped(relation, [Some(&new), old.as_ref().map(OldRow::row)])?,
                old,
                new,
            },
            Message::Delete { relation, old } => Change::Delete {
                relation: self.shaped(relation, [Some(old.row()), None])?,
                old,
            },
            Message::Truncate {
                relations,
                cascade,
                restart_identity,
            } => Change::Truncate {
                relations: relations
                    .iter()
                    .map(|&id| self.find(id).map(Arc::clone))
                    .collect::<Result<_, _>>()?,
                cascade,
                restart_identity,
            },
            Message::Emitted {
                transactional: true,
                prefix,
                content,
                ..
            } => Change::Message { prefix, content },
            _ => return Ok(None),
        }))
    }
}
