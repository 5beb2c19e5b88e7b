//! Every bound of this crate, with its arithmetic.

use std::time::Duration;

/// Row changes in a batch. Sets gain with their size until the rows of one that lie on the
/// same page meet: 200,000 random updates of 2,000,000 rows took the server 4.2 s of CPU in
/// sets of 860, 3.1 s in sorted sets of 6,600, 2.8 s in sorted sets of 20,000. A target
/// transaction of this size holds its locks for some 0.2 s, which concerns nobody while we
/// alone write.
const BATCH_ROWS: usize = 40_000;

/// Row changes that are written while a backlog is drained although more would fit, because the
/// target has nothing to do: a smaller set costs less than an idle target.
const BATCH_ROWS_IDLE: usize = 20_000;

/// Bytes of row values in a batch. Of the one that is written there are the rows, their array
/// literals (at most about twice the values) and the queued messages; of the one that is
/// prepared the rows and the literals; of the one that is gathered the rows: about
/// 8 × 10 MiB = 80 MiB.
const BATCH_BYTES: usize = 10 << 20;

/// Tables that the whole transactions of a batch change: the target holds a lock on each and on
/// its indexes until the batch is committed. Only a single transaction goes above, which held as
/// many on the source.
const BATCH_TABLES: usize = 500;

/// The share of the target's locks that is for these tables: with five indexes each they take
/// three quarters of them.
const LOCKS_SHARE: usize = 8;

/// Batches on their way: one that is written, and one that is prepared meanwhile. Measured at
/// 60,000 changes of pgbench: 25 to 35 ms of folding and writing literals, for which the target
/// waited after each 160 ms of its own work.
pub(crate) const QUEUED_BATCHES: usize = 2;

/// From this many rows of one shape a set replaces single statements: below it, planning
/// `unnest` costs more than the pipelined statements (about 4 µs a row against 1.6 µs a row
/// plus 100 µs).
const SET_ROWS: usize = 50;

/// From this many inserts of one shape COPY replaces `unnest` (crossing measured between
/// 1,000 rows, where `unnest` wins by a sixth, and 20,000, where COPY wins by two).
const COPY_ROWS: usize = 5_000;

/// Values of one shape are cut into sets of at most this many bytes, so that no message
/// comes near PostgreSQL's 1 GiB whatever the escapes add (at most twice: 16 MiB).
pub(crate) const SET_BYTES: usize = 8 << 20;

/// A row of at least this many bytes goes by itself instead of in a set. The server reads an
/// array's text byte by byte, 2.6 ns each (200 updates of 200 and of 500 bytes), and a single
/// statement's value not at all; the statement costs it some 4 µs more than a row of a set.
pub(crate) const ROW_ALONE_BYTES: usize = 2_000;

/// The same for a row that COPY could bring: there a set gains until escapes double its bytes.
pub(crate) const COPIED_ALONE_BYTES: usize = 1 << 20;

/// Statements in one round trip; when changes are done one by one, a conflict repeats at most
/// this many.
pub(crate) const ONE_BY_ONE_ROWS: usize = 500;

/// Bytes of values in one such round trip.
pub(crate) const ONE_BY_ONE_BYTES: usize = 4 << 20;

/// SQL texts of single statements kept per batch; with 1,000 columns a text is about 40 KiB,
/// so at most 40 MiB, and a few KiB in practice.
pub(crate) const SQL_TEXTS: usize = 1_000;

/// A commit that waits for the disk at least this often: what is durable lags what is
/// applied by about this much, and the source keeps that much more WAL.
pub(crate) const DURABLE_EVERY: Duration = Duration::from_secs(1);

/// How much is gathered and from when sets are used; the default is what was measured best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Row changes in a batch, or in a part of a bigger transaction.
    pub batch_rows: usize,
    /// Row changes of whole transactions that are written when the target has nothing to do.
    pub batch_rows_idle: usize,
    /// Bytes of row values in it.
    pub batch_bytes: usize,
    /// Tables that its transactions change.
    pub batch_tables: usize,
    /// Rows of one shape from which a set replaces single statements.
    pub set_rows: usize,
    /// Inserts of one shape from which COPY replaces `unnest`.
    pub copy_rows: usize,
}

impl Bounds {
    /// For a target that has room for so many locks.
    pub(crate) fn within(locks: usize) -> Self {
        let batch_tables = (locks / LOCKS_SHARE).clamp(1, BATCH_TABLES);
        Bounds {
            batch_tables,
            ..Bounds::default()
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            batch_rows: BATCH_ROWS,
            batch_rows_idle: BATCH_ROWS_IDLE,
            batch_bytes: BATCH_BYTES,
            batch_tables: BATCH_TABLES,
            set_rows: SET_ROWS,
            copy_rows: COPY_ROWS,
        }
    }
}
