//! What the caller chooses.

use std::collections::BTreeSet;
use std::path::PathBuf;

use trunkline_changes::TableName;

use crate::chunks::SplitSizes;
use crate::copy::Standby;
use crate::limits::{INDEX_JOBS, JOBS};
use crate::scope::Scope;
use crate::transform::{Naming, Transform};

/// Where the target's structure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructureSource {
    /// From the source, by `pg_dump`.
    Source,
    /// It stands already; nothing is made, rows only.
    Target,
}

/// How a database is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// What is moved.
    pub scope: Scope,
    /// What becomes of names, columns and rows.
    pub transform: Transform,
    /// Where the target's structure comes from.
    pub structure: StructureSource,
    /// Connections to each side that copy rows; as many to the target make tables before.
    pub jobs: usize,
    /// Connections to the target that build indexes, validate and analyze.
    pub index_jobs: usize,
    /// When tables are cut, and how finely.
    pub split: SplitSizes,
    /// Everything belongs to the role that loads.
    pub no_owner: bool,
    /// No grants.
    pub no_privileges: bool,
    /// Tables whose rows something else has brought: what stands on them is built, and no row
    /// is copied.
    pub rows_elsewhere: BTreeSet<TableName>,
    /// Whether large objects are copied.
    pub large_objects: bool,
    /// What must be known when the source that is read is a standby; `None` for a primary.
    /// Unlogged tables are then left out: a standby does not have their rows.
    pub standby: Option<Standby>,
    /// Folders in which `pg_dump` is looked for before the usual ones.
    pub program_folders: Vec<PathBuf>,
}

impl LoadOptions {
    /// By which names rows are copied: what was restored is renamed later.
    pub(crate) fn naming(&self) -> Naming {
        match self.structure {
            StructureSource::Source => Naming::AsOnSource,
            StructureSource::Target => Naming::Final,
        }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            scope: Scope::everything(),
            transform: Transform::none(),
            structure: StructureSource::Source,
            jobs: JOBS,
            index_jobs: INDEX_JOBS,
            split: SplitSizes::default(),
            no_owner: false,
            no_privileges: false,
            rows_elsewhere: BTreeSet::new(),
            large_objects: true,
            standby: None,
            program_folders: Vec::new(),
        }
    }
}
