//! The bounds that the checks judge by.

use std::time::Duration;

/// Sessions that we may hold at once on a server: the default four copy jobs and four index
/// jobs, the stream, the writer, progress, validation, and the one that watches.
pub(super) const SESSIONS_PER_SIDE: i64 = 16;

/// Objects named one by one for one code: a screen or two of report. A longer list of
/// remedies is better made by a query than copied from a report.
pub(super) const OBJECTS_NAMED: usize = 50;

/// Names in one line of a message.
pub(super) const NAMES_IN_ONE_LINE: usize = 5;

/// A transaction older than this is named: a slot's creation waits for every transaction that
/// was running, and whatever has run for a minute may run for an hour.
pub(super) const LONG_TRANSACTION: Duration = Duration::from_mins(1);

/// A walsender that hears nothing for this long ends the stream. We answer every second or
/// so; below ten seconds one busy moment of the network is enough.
pub(super) const SHORTEST_SENDER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a copy is assumed to do, for estimates only: a modest single pair of servers
/// (measured: 180 to 250 MB/s on one machine, less over a network and with indexes).
pub(super) const ASSUMED_COPY_BYTES_PER_SECOND: u64 = 50_000_000;

/// Slots that are needed on a relay at once: the one that is followed, and a temporary one
/// for a snapshot.
pub(super) const SLOTS_ON_RELAY: i64 = 2;

/// A relay that is further behind than this is named: at 50 MB/s it needs 20 seconds.
pub(super) const RELAY_BEHIND_BYTES: u64 = 1 << 30;
