//! Every bound of this crate.

use std::time::Duration;

/// How often a read-back is repeated while a component takes up what it was told.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(50);

/// How long a component may take to do what it has taken up: Envoy reads a renamed file
/// within tenths of a second, PgBouncer closes connections within a second.
pub(crate) const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// How long a component that is gone may take to come back, before a step that must be done
/// fails: supervisors wait a tenth of a second to a second before they start it again, and
/// PgBouncer is there within another.
pub(crate) const RESTARTS_WITHIN: Duration = Duration::from_secs(5);

/// At most this much of the time for holding is kept for undoing a hold that was given up.
pub(crate) const UNDOING_AT_MOST: Duration = Duration::from_secs(2);

/// And at most this part of it: a fifth leaves four fifths for the hold itself.
pub(crate) const UNDOING_PART: u32 = 5;

/// The longest answer that an admin interface may give. Envoy's filtered statistics are some
/// hundred bytes, the state of a backend of HAProxy with a hundred servers is 20 kB.
pub(crate) const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// How much of what a component said is shown.
pub(crate) const SHOWN_CHARS: usize = 500;

/// How long PgBouncer waits after a login that failed, in seconds, while clients are let go
/// on: it looks three times a second.
pub(crate) const SHORT_LOGIN_RETRY: &str = "0.1";

/// How long that stays so: a login takes some milliseconds, and the looks a second.
pub(crate) const LOGS_IN_WITHIN: Duration = Duration::from_secs(2);
