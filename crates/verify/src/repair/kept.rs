//! What only the target has of rows that are taken out and put in again: columns that the
//! source's table lacks keep their values.

use std::collections::HashMap;

use trunkline_changes::Side;
use trunkline_postgres::Session;

use super::batch::all_there;
use super::error::RepairError;
use super::item::{Differing, Item, Remedy};
use super::rows::{Rows, Text};

/// Values of such columns, by the number of their item.
#[derive(Debug, Default)]
pub(crate) struct Kept(HashMap<usize, Vec<Text>>);

impl Kept {
    /// Reads them, while the rows are still there.
    pub(crate) async fn read(
        target: &mut Session,
        items: &[&Item<'_>],
        owners: impl IntoIterator<Item = usize>,
        differing: Differing,
    ) -> Result<Kept, RepairError> {
        let mut kept = Kept::default();
        for owner in owners {
            let item = items[owner];
            if item.remedy(differing) != Remedy::Replace || item.kept().next().is_none() {
                continue;
            }
            let spot = item.target.as_ref().expect("the target has this row");
            let columns: Vec<String> = item
                .kept()
                .map(|column| format!("t.{}", item.table.ident(column)))
                .collect();
            let places = std::iter::once((spot.ctid.clone(), owner));
            let name = &spot.relation.name;
            let mut rows = Rows::open(target, Side::Target, name, &columns, places).await?;
            kept.0.extend(rows.next().await?);
            all_there(items, &rows.finish().await?, Side::Target)?;
        }
        Ok(kept)
    }

    /// Adds a row's to what comes from the source.
    pub(crate) fn add(
        &self,
        item: &Item<'_>,
        owner: usize,
        columns: &mut Vec<usize>,
        values: &mut Vec<Text>,
    ) {
        if let Some(own) = self.0.get(&owner) {
            columns.extend(item.kept());
            values.extend(own.iter().cloned());
        }
    }
}
