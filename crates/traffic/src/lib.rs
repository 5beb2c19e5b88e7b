//! What stands between clients and the two servers, behind the migration's trait: the
//! operator's own commands, poolers and proxies. Holds always: a step that is called again
//! after a crash ends as the first call would have.

mod command;

pub use command::{CommandHooks, CommandPlan};
pub use trunkline_migration::shell::Scene;
