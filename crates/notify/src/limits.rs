//! Bounds of the notifications, with their arithmetic.

use std::time::Duration;

/// Events that wait: a migration has about twelve phases, and warnings come a few at a time.
/// At a kB each at most, 100 kB.
pub(crate) const QUEUE_EVENTS: usize = 100;

/// How long one attempt may take: connecting, TLS, the request and the answer.
pub(crate) const ATTEMPT_WITHIN: Duration = Duration::from_secs(5);

/// Attempts for one event. With the pauses between them (0.5, 1, 2 and 4 s) and the time of
/// each, an event holds up those behind it for 33 s at most.
pub(crate) const ATTEMPTS: u32 = 5;

/// The pause after the first attempt; each further one is twice as long.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How long the end of a command waits for what is still queued.
pub(crate) const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// A retry that goes on for this long is told: the first pauses before a connection is made
/// again together last 8 s, and most interruptions end within them.
pub(crate) const RETRY_LASTS: Duration = Duration::from_secs(10);

/// How much of a message is sent.
pub(crate) const MESSAGE_CHARS: usize = 1_000;

/// Tables that differ are named up to here, in one message.
pub(crate) const TABLES_NAMED: usize = 10;
