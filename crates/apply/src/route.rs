//! How one source table's rows reach one target table: column by column, and how a row is
//! found there.

use std::sync::Arc;

use trunkline_changes::{ColumnMap, Relation, ReplicaIdentity, Side};

use crate::batch::RowChange;
use crate::conflict::Operation;
use crate::error::ApplyError;
use crate::table::{Operator, TargetColumn, TargetTable, Written};

/// A source table (as its Relation message describes it) and its target.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) relation: Arc<Relation>,
    pub(crate) target: Arc<TargetTable>,
    /// For each column of the relation, the target's column; none for one that stays behind.
    pub(crate) columns: Vec<Option<usize>>,
    pub(crate) lookup: Lookup,
}

/// How a row of the target is found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// By key columns, in the target's column order.
    Key(Vec<KeyColumn>),
    /// By all values that were sent; of equal rows, one.
    WholeRow,
    /// Not at all: only inserts can be applied.
    Never,
}

/// One column of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    /// Index in the relation.
    pub(crate) source: usize,
    /// Index in the target.
    pub(crate) target: usize,
    pub(crate) compare: Compare,
}

/// How a value is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// By an operator.
    By(Operator),
    /// By what the output function prints.
    AsText,
}

impl Route {
    pub(crate) fn new(
        relation: Arc<Relation>,
        target: Arc<TargetTable>,
        names: &ColumnMap,
    ) -> Result<Self, ApplyError> {
        let columns = relation
            .columns
            .iter()
            .map(|column| {
                let Some(name) = names.there(&column.name) else {
                    return Ok(None);
                };
                let place = target.column(name);
                let place = place.ok_or_else(|| ApplyError::MissingColumn {
                    table: target.name.clone(),
                    column: name.to_owned(),
                    side: Side::Target,
                })?;
                Ok(Some(place))
            })
            .collect::<Result<Vec<_>, ApplyError>>()?;
        let lookup = lookup(&relation, &target, &columns);
        Ok(Route {
            relation,
            target,
            columns,
            lookup,
        })
    }

    /// The rows of updates and deletes must be found somehow.
    pub(crate) fn must_find(&self, change: &RowChange) -> Result<(), ApplyError> {
        match change.operation() {
            operation @ (Operation::Update | Operation::Delete) if self.lookup == Lookup::Never => {
                Err(ApplyError::NoIdentity {
                    table: self.relation.name.clone(),
                    operation,
                })
            }
            _ => Ok(()),
        }
    }

    /// The key columns, when rows are found by a key.
    pub(crate) fn key(&self) -> Option<&[KeyColumn]> {
        match &self.lookup {
            Lookup::Key(columns) => Some(columns),
            Lookup::WholeRow | Lookup::Never => None,
        }
    }

    /// Whether rows are found by the same columns of the target as by another route to it.
    pub(crate) fn has_key_of(&self, other: &Route) -> bool {
        let targets = |key: &[KeyColumn], other: &[KeyColumn]| {
            let targets = key.iter().map(|column| column.target);
            targets.eq(other.iter().map(|column| column.target))
        };
        std::ptr::eq(self, other)
            || match (self.key(), other.key()) {
                (Some(key), Some(other)) => targets(key, other),
                (None, None) => true,
                _ => false,
            }
    }

    /// The names of the columns that rows are looked up by.
    pub(crate) fn key_names(&self) -> Vec<String> {
        let names = self.key().unwrap_or_default().iter();
        names
            .map(|column| self.target.columns[column.target].name.to_string())
            .collect()
    }

    pub(crate) fn is_key(&self, source: usize) -> bool {
        self.key()
            .is_some_and(|key| key.iter().any(|column| column.source == source))
    }

    pub(crate) fn written(&self, source: usize) -> Written {
        let target = self.target_column(source);
        target.map_or(Written::Never, |column| column.written)
    }

    /// The target's column for one of the relation's; none for one that stays behind.
    fn target_column(&self, source: usize) -> Option<&TargetColumn> {
        Some(&self.target.columns[self.columns[source]?])
    }

    /// Whether one of the relation's columns has no place on the target.
    pub(crate) fn leaves_out(&self, source: usize) -> bool {
        self.columns[source].is_none()
    }

    /// The target's column for one of the relation's that is written or looked up by.
    pub(crate) fn placed(&self, source: usize) -> &TargetColumn {
        let column = self.target_column(source);
        column.expect("what stays behind is neither written nor looked up by")
    }

    /// Whether the relation sends every column that the target stores.
    pub(crate) fn sends_all(&self) -> bool {
        (0..self.target.columns.len()).all(|target| {
            self.target.columns[target].written == Written::Never
                || self.columns.contains(&Some(target))
        })
    }
}

fn lookup(relation: &Relation, target: &TargetTable, columns: &[Option<usize>]) -> Lookup {
    let mut key = match relation.identity {
        ReplicaIdentity::Nothing => return Lookup::Never,
        ReplicaIdentity::Full => match key_for_full(target, columns) {
            Some(key) => key,
            None => return Lookup::WholeRow,
        },
        ReplicaIdentity::Default | ReplicaIdentity::Index => relation
            .key()
            .map(|source| {
                Some(KeyColumn {
                    source,
                    target: columns[source]?,
                    compare: Compare::AsText,
                })
            })
            .collect::<Option<Vec<_>>>()
            // A key of which a column stays behind tells no rows apart.
            .unwrap_or_default(),
    };
    if key.is_empty() {
        return Lookup::Never;
    }
    key.sort_unstable_by_key(|column| column.target);
    let targets: Vec<usize> = key.iter().map(|column| column.target).collect();
    for column in &mut key {
        column.compare = compare(target, &targets, column.target);
    }
    Lookup::Key(key)
}

/// The columns of a unique index of the target that names every row, if one does.
fn key_for_full(target: &TargetTable, columns: &[Option<usize>]) -> Option<Vec<KeyColumn>> {
    let usable = target.keys.iter().find(|key| {
        key.immediate
            && key.columns.iter().all(|(column, _)| {
                target.columns[*column].not_null && columns.contains(&Some(*column))
            })
    })?;
    let source_of = |target| columns.iter().position(|column| *column == Some(target));
    usable
        .columns
        .iter()
        .map(|(target, _)| {
            Some(KeyColumn {
                source: source_of(*target)?,
                target: *target,
                compare: Compare::AsText,
            })
        })
        .collect()
}

/// The operator of the unique index over exactly these columns, or of any unique index with
/// this column; without one, plain equality where that means identity, else the text.
fn compare(target: &TargetTable, key: &[usize], column: usize) -> Compare {
    let covers = |index: &crate::table::UniqueKey| {
        index.columns.len() == key.len() && index.columns.iter().all(|(c, _)| key.contains(c))
    };
    let exact = target.keys.iter().filter(|index| covers(index));
    let indexes = exact.chain(target.keys.iter());
    for (candidate, operator) in indexes.flat_map(|index| &index.columns) {
        if *candidate == column {
            return Compare::By(operator.clone());
        }
    }
    if target.columns[column].value.exact {
        Compare::By(Operator::builtin_equality())
    } else {
        Compare::AsText
    }
}
