//! One migration: its plan, its phases and their journal, the preflight, the fence, the
//! gates, the reports. It prints nothing, parses no arguments, and names no cloud or pooler.

pub mod alone;
pub mod baseline;
pub mod checks;
mod choice;
mod commands;
mod control;
pub mod downstream;
mod error;
mod fence;
mod follow;
mod journal;
mod limits;
mod nearest;
mod observer;
mod phase;
mod phases;
pub mod plan;
mod relay;
pub mod report;
mod run;
pub mod scripts;
pub mod shell;
pub mod smoke;
mod standby;
pub mod status;
mod steps;
mod subscription;
pub mod traffic;
mod validation;
mod waiting;
mod way;

pub use choice::{Chosen, Condition, Sample};
pub use commands::{
    Setting, Until, abort, check, clone, complete, cutover, plan_steps, rollback, run, verify,
};
pub use error::Error;
pub use fence::{AfterSwitch, FenceEvidence, Strength};
pub use nearest::nearest;
pub use observer::{Notice, Observer};
pub use phase::{Event, IllegalEvent, Phase};
pub use phases::cutover::Extent;
pub use phases::ending::{OldDatabase, TargetTables};
pub use phases::mending::Mending;
pub use run::is_streamed;
pub use subscription::status::{SubscriptionStatus, SyncingTable};
pub use trunkline_apply::{ConflictPolicy, DdlMode};
pub use trunkline_verify::{
    DifferenceKind, KeyValue, ObjectKind, Outcome, Place, RowCounts, RowDifference, SchemaChange,
    SchemaDifference, TableVerdict,
};
pub use validation::{TableValidation, ValidationState, ValidationStatus};
pub use way::Way;
