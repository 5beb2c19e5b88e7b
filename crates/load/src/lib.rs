//! Loads a database into another: structure, rows, indexes, constraints, large objects and
//! sequences. Knows no phases and never reads the change stream: the migration calls it.
//!
//! Every step may be run again after any interruption; what was done is recorded on the
//! target in the transactions that did it.

mod build;
mod build_memory;
mod catalog;
mod chunks;
mod copy;
mod durable;
mod error;
mod finish;
mod format;
mod inventory;
mod large_objects;
mod ledger;
mod limits;
mod lineage;
mod loader;
mod making;
mod options;
mod progress;
mod public_schema;
mod retrying;
mod schema_settings;
mod scope;
mod sequences;
mod statistics;
mod structure;
mod target_map;
mod transform;
mod turns;
mod undo;
mod workers;

pub use catalog::{
    IdentityColumn, Origin, Shape, Table, TableColumn, TableKind, all_tables, tables, tables_by_now,
};
pub use chunks::SplitSizes;
pub use copy::Standby;
pub use error::LoadError;
pub use format::{ColumnType, CopyFormat};
pub use inventory::Inventory;
pub use large_objects::{LargeObjects, count_large_objects};
pub use ledger::{Cover, KeyRange, TABLES_SQL, read_cover};
pub use lineage::Lineage;
pub use loader::Loader;
pub use options::{LoadOptions, StructureSource};
pub use progress::{Count, Progress, TableProgress, TableState, Totals};
pub use schema_settings::{SchemaSettings, restore_schema_settings, schema_settings};
pub use scope::{OWN_SCHEMA, Scope, ScopeBuilder, quoted_name};
pub use sequences::{
    Sequence, SequenceDifference, Unowned, compare_sequences, list_sequences,
    read_sequence_positions, set_sequences,
};
pub use structure::{
    Entry, Existing, LeftOut, Programs, Section, Structure, drop_tables, existing_objects,
};
pub use target_map::{TableMap, target_map_by};
pub use transform::{Layout, Mappings, Moving, Naming, Renames, TableRules, Transform};
pub use undo::standing;
