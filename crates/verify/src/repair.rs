//! Mending the target, row by row, from a list of differences. Holds always: what is written is
//! what the source's snapshot holds, a transaction that meets anything unexpected changes
//! nothing, and nobody else writes to the target meanwhile (the caller's promise).
//!
//! Rows go before others change, and those before new ones come; a row that a unique key, an
//! identity or a partition holds in its place is taken out and put in again. So rows that
//! exchanged their keys mend as any others.

mod batch;
mod catalog;
mod error;
mod guard;
mod item;
mod kept;
mod limits;
mod plan;
mod role;
mod rows;
mod script;
mod statement;

use trunkline_postgres::Session;

use crate::difference::RowDifference;
use batch::Mender;
use item::{Differing, Item, resolve};
use limits::BATCH_ROWS;
use role::Firing;

pub use catalog::{Generated, RepairColumn, RepairTable, RepairTables, TextForm};
pub use error::RepairError;
pub use script::write_script;

/// What was mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repaired {
    /// Rows that are now as on the source.
    pub mended: u64,
    /// Rows that differ in virtual generated columns only: the definitions of the columns
    /// differ, not the rows.
    pub left: u64,
    /// Transactions that were committed on the target.
    pub transactions: u64,
}

/// Makes the target's rows what they are on the source. `source` is inside of the transaction
/// in whose snapshot the places of the differences are valid; `target` is outside of any, and
/// its latest state is the one that was compared.
///
/// A transaction a batch: after an error, batches before it stay mended.
pub async fn repair(
    source: &mut Session,
    target: &mut Session,
    tables: &RepairTables,
    differences: &[RowDifference],
) -> Result<Repaired, RepairError> {
    let items = resolve(source, target, tables, differences).await?;
    let firing = Firing::probe(target).await?;
    firing.permit(&items)?;
    let items: Vec<&Item<'_>> = items.iter().collect();
    let mut mender = Mender {
        source,
        target,
        firing,
    };
    let mut repaired = Repaired::default();
    // Rows that wait for others, of other batches, to be taken out of their way.
    let mut waiting = Vec::new();
    for batch in items.chunks(BATCH_ROWS) {
        match mend_batch(&mut mender, batch).await {
            Ok(left) => repaired.add(batch, left),
            Err(error) if error.is_clash() && items.len() > batch.len() => {
                waiting.extend_from_slice(batch);
            }
            Err(error) => return Err(error),
        }
    }
    if !waiting.is_empty() {
        let left = mender.mend(&waiting, Differing::Replaced).await?;
        repaired.add(&waiting, left);
    }
    Ok(repaired)
}

/// A batch by updates, and where rows clash, by taking all of them out first.
async fn mend_batch(mender: &mut Mender<'_>, batch: &[&Item<'_>]) -> Result<u64, RepairError> {
    match mender.mend(batch, Differing::Updated).await {
        Err(error) if error.is_clash() => mender.mend(batch, Differing::Replaced).await,
        outcome => outcome,
    }
}

impl Repaired {
    fn add(&mut self, batch: &[&Item<'_>], left: u64) {
        self.mended += batch.len() as u64 - left;
        self.left += left;
        self.transactions += 1;
    }
}
