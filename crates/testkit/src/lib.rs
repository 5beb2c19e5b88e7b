//! What the tests of all crates share: PostgreSQL servers of any version, a network that fails
//! on demand, tables with every type, seeded writers, and exact comparison of contents.
//!
//! Nothing here ships. Failures panic with a message, because every caller is a test.

#![expect(
    clippy::missing_panics_doc,
    reason = "everything here panics when it fails: that is how it fails a test"
)]

mod cluster;
pub mod contents;
pub mod faults;
mod faulty_proxy;
pub mod front;
mod skipping;
pub mod types;
mod waiting;
pub mod world;

pub use cluster::{Cluster, ClusterBuilder, MAJORS, any_major, connect, try_connect, uri_at};
pub use faulty_proxy::{Direction, FaultyProxy};
pub use skipping::{missing, skipped};
pub use trunkline_sandbox as sandbox;
pub use waiting::{until, until_some};
