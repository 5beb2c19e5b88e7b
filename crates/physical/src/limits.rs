//! Bounds, with their arithmetic.

use std::time::Duration;

/// What is kept of the end of a program's words, for an error: some twenty lines.
pub(crate) const SAID_BYTES: usize = 4096;

/// A fast shutdown writes a checkpoint: shared buffers of 64 GB at 200 MB/s take six minutes.
pub(crate) const STOP_WITHIN: Duration = Duration::from_mins(10);

/// A socket's path may have 107 bytes (`sun_path`), and `/.s.PGSQL.65535` takes 15 of them.
pub(crate) const SOCKET_FOLDER_BYTES: usize = 107 - 15;

/// How long an orphaned program may take to go once it is told to.
pub(crate) const ORPHAN_GOES_WITHIN: Duration = Duration::from_secs(20);

/// How often a process is looked at that is to end.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);
