//! The way in for `benches/`: what stands between the stream and the wire, without a server.
//! No part of the crate's interface.

use std::sync::Arc;

use trunkline_changes::{Lsn, OldRow, Relation, ReplicaIdentity, Row, Transaction};

use crate::batch::{Action, Entry, Pending, RowChange};
use crate::fold;
use crate::limits::Bounds;
use crate::plan::{Body, plan, row_params};
use crate::route::Route;
use crate::sample;

/// A table `s.t` of columns of type `int8`, found by its first `key` columns, or by all of
/// them.
pub struct Table(Arc<Route>);

impl Table {
    /// Its route, made as the catalog's would be.
    pub fn new(columns: usize, key: usize, identity: ReplicaIdentity) -> Self {
        let columns = (0..columns).map(|n| sample::column(&format!("c{n}"), "int8"));
        let table = sample::table(key, columns.collect());
        Table(sample::route(table, identity, key))
    }

    /// As the source describes it.
    pub fn relation(&self) -> &Relation {
        &self.0.relation
    }
}

/// A change of one row.
pub struct Change(RowChange);

impl Change {
    /// A new row.
    pub fn insert(new: Row) -> Self {
        Change(RowChange::Insert(new))
    }

    /// A changed row.
    pub fn update(old: Option<OldRow>, new: Row) -> Self {
        Change(RowChange::Update { old, new })
    }

    /// A row that is gone.
    pub fn delete(old: OldRow) -> Self {
        Change(RowChange::Delete(old))
    }
}

/// A batch, and the transaction that is under way.
#[derive(Default)]
pub struct Batch {
    whole: Pending,
    partial: Pending,
}

impl Batch {
    /// Adds a change of a table.
    pub fn push(&mut self, table: &Table, change: Change) {
        let transaction = Transaction {
            xid: 700,
            commit_lsn: Lsn::ZERO,
            committed_at_micros: 0,
        };
        self.partial.push(Entry {
            transaction,
            action: Action::Row {
                route: Arc::clone(&table.0),
                change: change.0,
            },
        });
    }

    /// Ends the transaction.
    pub fn end(&mut self) {
        self.whole.append(&mut self.partial);
    }

    /// Folds it to one change per row; in how many stages.
    ///
    /// # Panics
    /// When its changes contradict each other.
    pub fn fold(&self) -> usize {
        let stages = fold::fold(&self.whole.entries);
        stages.expect("changes that follow from each other").len()
    }

    /// Folds it and writes its statements; how many, and the bytes of their values.
    ///
    /// # Panics
    /// When its changes contradict each other.
    pub fn statements(&self) -> (usize, usize) {
        let stages = fold::fold(&self.whole.entries);
        let stages = stages.expect("changes that follow from each other");
        let statements = plan(&stages, &Bounds::default());
        let bytes = statements.iter().map(|statement| match &statement.body {
            Body::Params(params) => params.iter().flatten().map(|value| value.len()).sum(),
            Body::Row(slots, row) => row_params(slots, *row).flatten().map(<[u8]>::len).sum(),
            Body::Copy(data) => data.len(),
        });
        (statements.len(), bytes.sum())
    }
}
