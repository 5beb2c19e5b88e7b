//! The head of a data folder's control file: what `pg_controldata` would show, for versions of
//! which that program is not here. The layout of the first five fields is the same in 12 to 18
//! (`src/include/catalog/pg_control.h`).

use std::fs;
use std::path::Path;

use crate::error::{AtPath, PhysicalError};

/// What the server was doing when it last wrote its control file (`DBState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// It was shut down cleanly.
    ShutDown,
    /// It was a standby, and was shut down cleanly.
    ShutDownInRecovery,
    /// It is, or was when it crashed, in recovery.
    InRecovery,
    /// It is, or was when it crashed, in production.
    InProduction,
    /// Anything else: starting up, or shutting down.
    Between,
}

/// The head of `global/pg_control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlFile {
    /// The system identifier: the same on all physical copies of one cluster.
    pub system_id: u64,
    /// The state.
    pub state: ClusterState,
}

impl ControlFile {
    /// Reads it from a data folder.
    pub fn read(data: &Path) -> Result<ControlFile, PhysicalError> {
        let path = data.join("global/pg_control");
        let bytes = fs::read(&path).at("reading", &path)?;
        parse(&bytes).ok_or_else(|| PhysicalError::Folder {
            path: data.to_owned(),
            why: "its control file is cut short".to_owned(),
        })
    }
}

/// `system_identifier` (8 bytes), `pg_control_version` and `catalog_version_no` (4 each), then
/// `state`.
fn parse(bytes: &[u8]) -> Option<ControlFile> {
    let system_id = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
    let state = u32::from_ne_bytes(bytes.get(16..20)?.try_into().ok()?);
    Some(ControlFile {
        system_id,
        state: match state {
            1 => ClusterState::ShutDown,
            2 => ClusterState::ShutDownInRecovery,
            4 | 5 => ClusterState::InRecovery,
            6 => ClusterState::InProduction,
            _ => ClusterState::Between,
        },
    })
}
