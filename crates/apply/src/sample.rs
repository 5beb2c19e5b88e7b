//! Tables and routes made by hand, for this crate's tests and benches.

use std::sync::Arc;

use trunkline_changes::{Column, Relation, ReplicaIdentity, TableName};

use crate::route::Route;
use crate::table::{
    ArrayType, Operator, TableKind, TargetColumn, TargetTable, UniqueKey, ValueType, Written,
};

/// A column of type `pg_catalog.<name>`; exact when it is an integer.
pub(crate) fn column(name: &str, type_name: &str) -> TargetColumn {
    TargetColumn {
        number: 0,
        name: name.into(),
        written: Written::Freely,
        not_null: false,
        value: Arc::new(ValueType {
            cast: crate::table::type_name("pg_catalog", type_name),
            array: Some(ArrayType {
                cast: crate::table::type_name("pg_catalog", &format!("_{type_name}")),
                delimiter: b',',
            }),
            exact: type_name.starts_with("int"),
        }),
    }
}

/// A table `s.t` whose primary key are its first `key` columns.
pub(crate) fn table(key: usize, mut columns: Vec<TargetColumn>) -> TargetTable {
    for column in &mut columns[..key] {
        column.not_null = true;
    }
    let key = UniqueKey {
        columns: (0..key)
            .map(|column| (column, Operator::builtin_equality()))
            .collect(),
        immediate: true,
    };
    TargetTable {
        oid: 1,
        name: TableName::new("s", "t"),
        kind: TableKind::Plain,
        fires: false,
        columns: columns.into(),
        keys: if key.columns.is_empty() {
            Arc::default()
        } else {
            Arc::new([key])
        },
    }
}

/// The source's table of the same name with the same columns.
pub(crate) fn route(target: TargetTable, identity: ReplicaIdentity, key: usize) -> Arc<Route> {
    let full = identity == ReplicaIdentity::Full;
    let columns = target
        .columns
        .iter()
        .filter(|column| column.written != Written::Never);
    let columns = columns.enumerate().map(|(index, column)| Column {
        name: column.name.to_string(),
        key: full || index < key,
        type_oid: 25,
        type_modifier: -1,
    });
    let relation = Relation {
        id: target.oid,
        name: target.name.clone(),
        identity,
        columns: columns.collect(),
    };
    let same = trunkline_changes::ColumnMap::same();
    let route = Route::new(Arc::new(relation), Arc::new(target), &same);
    Arc::new(route.expect("every column is there"))
}
