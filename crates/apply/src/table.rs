//! A table of the target as its catalog describes it: what can be written, how values are
//! cast, and by which operators its keys are compared.

use std::sync::Arc;

use smol_str::SmolStr;
use trunkline_changes::{TableName, quote_ident};

/// A target table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetTable {
    pub(crate) oid: u32,
    pub(crate) name: TableName,
    pub(crate) kind: TableKind,
    /// Whether it has a trigger or rule that fires in the replica role.
    pub(crate) fires: bool,
    /// In order; tables that are alike share them, and their keys.
    pub(crate) columns: Arc<[TargetColumn]>,
    /// Unique indexes over plain columns, without a predicate; the primary key first.
    pub(crate) keys: Arc<[UniqueKey]>,
}

/// Whether the table holds rows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    Plain,
    Partitioned,
}

/// A column of a target table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetColumn {
    /// Its number on the target (`pg_attribute.attnum`): dropped columns leave gaps.
    pub(crate) number: i16,
    pub(crate) name: SmolStr,
    pub(crate) written: Written,
    pub(crate) not_null: bool,
    pub(crate) value: Arc<ValueType>,
}

/// Whether and how a column takes values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Written {
    /// As any column.
    Freely,
    /// GENERATED ALWAYS AS IDENTITY: by an overriding INSERT only.
    ByInsert,
    /// A generated column: never.
    Never,
}

/// How a column's values are given to the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ValueType {
    /// The type's name, qualified and quoted, without a modifier.
    pub(crate) cast: String,
    /// The type of an array of it, when `unnest` gives its elements back as they are.
    pub(crate) array: Option<ArrayType>,
    /// Whether equal by `pg_catalog.=` means identical.
    pub(crate) exact: bool,
}

/// An array type and the character that separates its elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ArrayType {
    pub(crate) cast: String,
    pub(crate) delimiter: u8,
}

/// A unique index over plain columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UniqueKey {
    /// Indexes into [`TargetTable::columns`] with the schema of the equality operator and
    /// its name.
    pub(crate) columns: Vec<(usize, Operator)>,
    /// Whether uniqueness is checked at once (not deferrable).
    pub(crate) immediate: bool,
}

/// An operator's qualified name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Operator {
    pub(crate) schema: SmolStr,
    pub(crate) name: SmolStr,
}

impl Operator {
    pub(crate) fn sql(&self) -> String {
        format!("OPERATOR({}.{})", quote_ident(&self.schema), self.name)
    }

    pub(crate) fn builtin_equality() -> Self {
        Operator {
            schema: "pg_catalog".into(),
            name: "=".into(),
        }
    }
}

impl TargetTable {
    /// The table's name as UPDATE and DELETE take it: without its inheritance children.
    pub(crate) fn only(&self) -> String {
        match self.kind {
            TableKind::Plain => format!("ONLY {}", self.name.quoted()),
            TableKind::Partitioned => self.name.quoted(),
        }
    }

    /// Whether at most one unique index is checked row by row, as far as they are known.
    pub(crate) fn has_one_key(&self) -> bool {
        self.keys.iter().filter(|key| key.immediate).count() <= 1
    }

    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// `"schema"."name"` of a type.
pub(crate) fn type_name(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}
