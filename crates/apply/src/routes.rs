//! The routes of all tables: read at the start, made when a table's first change comes,
//! made anew when the source's description of it changes.

use std::collections::HashMap;
use std::sync::Arc;

use trunkline_changes::{Relation, Side, TableName};
use trunkline_postgres::Session;

use crate::catalog;
use crate::error::ApplyError;
use crate::options::{Destination, TableMap};
use crate::route::Route;
use crate::table::TargetTable;

/// Where Trunkline keeps its records, on either side.
const OWN_SCHEMA: &str = "trunkline";

/// Target tables as described, and routes by the source's relation id.
pub(crate) struct Routes {
    map: TableMap,
    described: HashMap<TableName, Arc<TargetTable>>,
    by_relation: HashMap<u32, Arc<Route>>,
}

impl Routes {
    pub(crate) async fn read(session: &mut Session, map: TableMap) -> Result<Self, ApplyError> {
        let names: Vec<TableName> = map.targets().cloned().collect();
        let described = catalog::read_tables(session, &names).await?;
        Ok(Routes {
            map,
            described: described
                .into_iter()
                .map(|(name, table)| (name, Arc::new(table)))
                .collect(),
            by_relation: HashMap::new(),
        })
    }

    pub(crate) fn map(&self) -> &TableMap {
        &self.map
    }

    /// The target's tables may have changed: they are described anew.
    pub(crate) fn forget(&mut self) {
        self.described.clear();
        self.by_relation.clear();
    }

    /// Where a relation's changes go, if it was asked before.
    pub(crate) fn known(&self, relation: &Arc<Relation>) -> Option<Arc<Route>> {
        let known = self.by_relation.get(&relation.id)?;
        let same = Arc::ptr_eq(&known.relation, relation) || known.relation == *relation;
        same.then(|| Arc::clone(known))
    }

    /// The target table of a relation; `None` when it is left out.
    pub(crate) fn destination(&self, relation: &Relation) -> Result<Option<TableName>, ApplyError> {
        match self.map.destination(&relation.name) {
            Some(Destination::Ignored) => Ok(None),
            Some(Destination::Table(target)) => Ok(Some(target.clone())),
            // Records of a migration, which a publication of all tables brings along.
            None if relation.name.schema == OWN_SCHEMA => Ok(None),
            None => Err(ApplyError::UnmappedTable {
                table: relation.name.clone(),
            }),
        }
    }

    /// Where a relation's changes go that was not asked before, if the target's table was
    /// described at the start: nobody need be asked.
    pub(crate) fn first(
        &mut self,
        relation: &Arc<Relation>,
        target: &TableName,
    ) -> Result<Option<Arc<Route>>, ApplyError> {
        if self.by_relation.contains_key(&relation.id) {
            return Ok(None);
        }
        let Some(table) = self.described.get(target).map(Arc::clone) else {
            return Ok(None);
        };
        match self.keep(relation, table) {
            // A column that is not described may have been made since.
            Err(ApplyError::MissingColumn { .. }) => Ok(None),
            kept => kept.map(Some),
        }
    }

    /// The same by what the target says now.
    pub(crate) async fn route(
        &mut self,
        session: &mut Session,
        relation: &Arc<Relation>,
        target: &TableName,
    ) -> Result<Arc<Route>, ApplyError> {
        let mut read = catalog::read_tables(session, std::slice::from_ref(target)).await?;
        let Some(table) = read.remove(target) else {
            return Err(ApplyError::MissingTable {
                table: target.clone(),
                side: Side::Target,
            });
        };
        let table = Arc::new(table);
        self.described.insert(target.clone(), Arc::clone(&table));
        self.keep(relation, table)
    }

    fn keep(
        &mut self,
        relation: &Arc<Relation>,
        table: Arc<TargetTable>,
    ) -> Result<Arc<Route>, ApplyError> {
        let columns = self.map.columns_of(&relation.name).cloned();
        let columns = columns.unwrap_or_default();
        let route = Arc::new(Route::new(Arc::clone(relation), table, &columns)?);
        self.by_relation.insert(relation.id, Arc::clone(&route));
        Ok(route)
    }
}
