//! Every bound of the benches.

use std::time::Duration;

/// How often memory is looked at while a program runs: a peak that is shorter goes unseen, and
/// a look costs some milliseconds of a core.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often the target is asked whether a marker has arrived.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(10);

/// The longest that a backlog may take; the slowest peer seen took three minutes.
pub(crate) const DRAIN_WITHIN: Duration = Duration::from_mins(30);

/// The longest that a copy's or a subscription's first part may take.
pub(crate) const READY_WITHIN: Duration = Duration::from_mins(30);

/// The kernel's clock ticks in a second, as `/proc/PID/stat` counts CPU time (`USER_HZ`, 100
/// on every Linux that PostgreSQL supports).
pub(crate) const TICKS_PER_SECOND: u32 = 100;
