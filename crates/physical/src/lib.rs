//! A physical copy of a server, on this machine: made by `pg_basebackup`, set up, started,
//! promoted, upgraded and removed. Knows nothing of migrations, but for the id that its
//! receipts hold. A server that is started here outlives us: it is the operator's.

mod account;
mod asking;
mod backup;
mod child;
mod control_file;
mod error;
mod folder;
mod instance;
mod limits;
mod programs;
mod settings;
mod standby;
mod upgrade;

pub use account::Account;
pub use asking::{Recovery, carried_settings, end_recovery, recovery, tablespaces};
pub use backup::{Backup, BackupSlot, Progress};
pub use control_file::{ClusterState, ControlFile};
pub use error::PhysicalError;
pub use folder::Made;
pub use instance::{Instance, StopMode};
pub use programs::{Programs, backup_program};
pub use settings::Setting;
pub use upgrade::ClusterFacts;
