//! Connections to PostgreSQL: settings as libpq reads them, TLS, authentication, sessions.

mod channel;
mod conninfo;
mod console;
mod copy;
mod error;
mod fault;
mod field;
mod handshake;
mod installed;
mod limits;
mod locks;
mod pipeline;
mod replication;
mod retry;
mod running_record;
mod session;
mod sqlstate;
mod tls;
mod transport;
mod version;
mod wire;

pub use conninfo::{Conninfo, ConninfoError, Environment};
pub use console::{Console, ConsoleRow};
pub use error::{PgError, ServerError};
pub use installed::{distinct_folders, folders_on_path, packaged_folders, program_version};
pub use retry::{Backoff, Remedy, remedy};
pub use running_record::{RunningRecord, log_running_transactions};
pub use sqlstate::SqlState;
pub use version::ServerVersion;

pub use copy::{CopyIn, CopyOut, Pumped, pump, pump_in_turn};
pub use fault::{Fault, OnSide};
pub use field::{DataRow, FromField, ToParam, push_array_element};
pub use pipeline::{Pipeline, PipelineError};
pub use replication::{
    CreatedSlot, Frame, ReplicationSession, ReplicationStream, SlotLife, SnapshotAction,
    StreamOptions, SystemIdentity,
};
pub use session::{Canceller, Session};
