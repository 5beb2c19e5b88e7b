//! TRUNCATE: which tables and ranges of the target it empties. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_changes::TableName;

use crate::cover::{Bounds, TruncateScope};
use crate::error::ApplyError;
use crate::options::TableMap;
use crate::table::TargetTable;

/// One TRUNCATE of the source, as far as it is to be applied.
#[derive(Debug)]
pub(crate) struct Truncate {
    pub(crate) tables: Vec<Truncated>,
    pub(crate) restart_identity: bool,
}

/// One table of the target that it empties.
#[derive(Debug)]
pub(crate) struct Truncated {
    pub(crate) source: TableName,
    pub(crate) target: Arc<TargetTable>,
    /// Which of the column's ranges; all of the table when there is none.
    pub(crate) ranges: Option<(String, Vec<Bounds>)>,
}

/// Puts the listed source tables together by target table.
pub(crate) fn gather(
    listed: Vec<(TableName, Arc<TargetTable>, TruncateScope)>,
    map: &TableMap,
    restart_identity: bool,
) -> Result<Truncate, ApplyError> {
    let mut by_target: BTreeMap<TableName, Vec<_>> = BTreeMap::new();
    for (source, target, scope) in listed {
        if scope != TruncateScope::Nothing {
            let sources = by_target.entry(target.name.clone()).or_default();
            sources.push((source, target, scope));
        }
    }
    let mut tables = Vec::new();
    for (name, mut sources) in by_target {
        let all = map.sources_of(&name).count();
        let whole = sources
            .iter()
            .filter(|(_, _, scope)| *scope == TruncateScope::Table)
            .count();
        // The ranges of one partition's key say nothing of the other partitions' rows.
        if all > 1 && whole < all {
            return Err(ApplyError::PartialTruncate {
                target: name,
                listed: whole,
                all,
            });
        }
        let Some((source, target, scope)) = sources.pop() else {
            continue;
        };
        let ranges = match scope {
            TruncateScope::Ranges { column, ranges } => Some((column, ranges)),
            TruncateScope::Nothing | TruncateScope::Table => None,
        };
        tables.push(Truncated {
            source,
            target,
            ranges,
        });
    }
    Ok(Truncate {
        tables,
        restart_identity,
    })
}
