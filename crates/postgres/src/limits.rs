//! Bounds of the wire layer, with their arithmetic.

use std::time::Duration;

/// One read asks for this much. At 256 KiB the system calls of a COPY at 250 MB/s are a
/// thousand a second; larger reads gained nothing when it was measured.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// With less room than this a new buffer is taken: two of the pieces that a server sends.
pub(crate) const READ_LEAST_BYTES: usize = 16 * 1024;

/// What is queued for a COPY before it is written.
pub(crate) const WRITE_BYTES: usize = 256 * 1024;

/// The server's own limit for one message is below 1 GiB.
pub(crate) const MESSAGE_MAX_BYTES: usize = 1 << 30;

/// Prepared statements that one session keeps before it forgets them all: statements are
/// one for each table, operation and set of columns, about 10 kB each on the server, so a
/// session stays below 20 MB there.
pub(crate) const STATEMENTS_MAX: usize = 2_000;

/// A program that says its version does nothing else; a busy machine takes a while.
pub(crate) const PROGRAM_VERSION_WITHIN: Duration = Duration::from_secs(20);
