//! What stands between clients and the two servers, behind the migration's trait: the
//! operator's own commands, poolers and proxies. Holds always: a step that is called again
//! after a crash ends as the first call would have.

mod address;
mod chain;
mod command;
mod envoy;
mod failure;
mod haproxy;
mod limits;
mod pgbouncer;
mod replace;

pub use address::{Address, AddressError, Addresses};
pub use chain::Chain;
pub use command::{CommandHooks, CommandPlan};
pub use envoy::{Envoy, EnvoyPlan};
pub use haproxy::{Haproxy, HaproxyPlan, RuntimeSocket};
pub use pgbouncer::{PgBouncer, PgBouncerPlan};
pub use trunkline_migration::shell::Scene;
