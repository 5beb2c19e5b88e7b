//! Every bound of this crate.

use std::time::Duration;

/// How often a read-back is repeated while a component takes up what it was told.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(50);

/// How long a component may take to do what it has taken up: Envoy reads a renamed file
/// within tenths of a second, PgBouncer closes connections within a second.
pub(crate) const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// At most this much of the time for holding is kept for undoing a hold that was given up.
pub(crate) const UNDOING_AT_MOST: Duration = Duration::from_secs(2);

/// And at most this part of it: a fifth leaves four fifths for the hold itself.
pub(crate) const UNDOING_PART: u32 = 5;

/// The longest answer that an admin interface may give. Envoy's filtered statistics are some
/// hundred bytes, the state of a backend of HAProxy with a hundred servers is 20 kB.
pub(crate) const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// How much of what a component said is shown.
pub(crate) const SHOWN_CHARS: usize = 500;
