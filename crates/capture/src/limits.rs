//! Every bound of this crate, with its arithmetic.

use std::time::Duration;

/// Memory for transactions that are streamed while they run, all of them together; beyond
/// it the largest goes to a temporary file. A quarter of the 300 MB that a whole run may
/// take, so that the rows in flight to the target have the rest.
pub const STREAMED_MEMORY_BYTES: usize = 64 << 20;

/// One piece of a streamed transaction's memory. A server streams a transaction when it
/// passes `logical_decoding_work_mem`, 64 kB at least: one piece holds that.
pub(crate) const SEGMENT_BYTES: usize = 64 << 10;

/// A transaction that has a file is written to it in pieces of at least this size:
/// 4 segments, large enough that system calls do not count.
pub(crate) const SPILL_WRITE_BYTES: usize = 256 << 10;

/// A transaction is read back from its file in pieces of this size.
pub(crate) const REPLAY_READ_BYTES: usize = 256 << 10;

/// A transaction of `test_decoding` is held as lines up to this size, until its COMMIT tells
/// where it ends; a bigger one is kept as a streamed one. The least that a server itself
/// holds before it streams (`logical_decoding_work_mem`).
pub(crate) const HELD_TRANSACTION_BYTES: usize = 64 << 10;

/// Names of tables that are not followed, and so passed over in the lines of `test_decoding`:
/// with 100 bytes each, 10 MB. Beyond it they are asked for again.
pub(crate) const PASSED_OVER_TABLES: usize = 100_000;

/// One pull returns at most this many events: 4,096 of some 100 bytes are 400 kB and take
/// the target about 10 ms to apply.
pub(crate) const PULL_EVENTS: usize = 4_096;

/// One pull stops gathering once its rows hold this much.
pub(crate) const PULL_BYTES: usize = 1 << 20;

/// Bytes received and not yet pulled. At 60 MB/s, the fastest that a walsender was measured
/// at, a quarter of a second: enough to never wait for the network, little enough to bound
/// memory. One message larger than this passes alone.
pub(crate) const QUEUE_BYTES: usize = 16 << 20;

/// Messages that are there already are handed over together, up to this size.
pub(crate) const BUNDLE_BYTES: usize = 64 << 10;

/// Messages in one bundle: at the smallest size of some 30 bytes, about [`BUNDLE_BYTES`].
pub(crate) const BUNDLE_MESSAGES: usize = 2_048;

/// The longest time between two status updates, unless the server's time-out asks for less.
pub(crate) const STATUS_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// The shortest time between two status updates, for servers with a tiny time-out.
pub(crate) const STATUS_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Status updates within one `wal_sender_timeout`: four may be lost or late before the
/// server ends the connection.
pub(crate) const STATUS_PER_TIMEOUT: u32 = 5;

/// How long a slot may stay in use by the session that held it before: the default
/// `wal_sender_timeout` of one minute, after which the server gives a dead one up, and half
/// of that again.
pub const SLOT_BUSY_DEADLINE: Duration = Duration::from_secs(90);

/// The first pause before a slot in use is tried again.
pub(crate) const SLOT_BUSY_PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause before a slot in use is tried again.
pub(crate) const SLOT_BUSY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A walsender in the middle of a big transaction answers the end of the stream only after
/// it; we drop the connection after this long instead.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// About how many bytes of messages the source is to gather for one peek by SQL, by what
/// messages weighed before. Each peek decodes again from `restart_lsn`, so larger ones cost
/// the source less: 1.2 million messages of pgbench in reads of 200,000 took it 2.4 s of CPU,
/// of 400,000 2.2 s, all at once 1.9 s. What does not fit its `work_mem` is written to temporary
/// files there.
pub(crate) const PEEK_BYTES: u64 = 48 << 20;

/// Bytes of peeks received and not yet pulled, their places included, of all that run together: a
/// whole peek, where messages are not small, so that the source goes on decoding as soon as it has
/// sent it. With 16 MB it waited for the target's last third of each, and the target for the
/// source's next (docs/decisions/0012).
pub(crate) const PEEK_QUEUE_BYTES: usize = 48 << 20;

/// From this major version on a session says how much memory decoding may take
/// (`logical_decoding_work_mem`).
pub(crate) const DECODING_MEMORY_FROM: u32 = 13;

/// Messages in the first peek, before it is known how large they are: few, so that the
/// target has something to write at once.
pub(crate) const PEEK_MESSAGES_FIRST: u32 = 50_000;

/// A peek asks for at most this many times what the one before did: where small messages are
/// followed by large ones, the source gathers this much more than it should, once.
pub(crate) const PEEK_GROWTH: u32 = 4;

/// Fewer are never asked for, however large they are: a peek of this many that are 1 MB each
/// is a gigabyte in the source's temporary files, and one that is cut at fewer decodes the
/// log over and over.
pub(crate) const PEEK_MESSAGES_LEAST: u32 = 1_000;

/// Changes in one peek that looks for the first commit after a position, to start from.
/// Measured: 200,000 read 600,000 messages in
/// 0.96 s, 50,000 in 1.9 s, because each peek decodes again from `restart_lsn`. The result
/// is gathered on the source: 200,000 of some 100 bytes are 20 MB there.
pub const PEEK_CHANGES: u32 = 200_000;

/// Behind by more than this, batch mode pays: 200,000 messages span about 32 MB
/// of log.
pub const BATCH_ABOVE_BYTES: u64 = 32 << 20;

/// Nearer than this, live mode: a quarter of [`BATCH_ABOVE_BYTES`], so that a burst between
/// two looks does not turn the decision round.
pub const LIVE_BELOW_BYTES: u64 = 8 << 20;

/// On a busy source both marks grow to what it writes in this many seconds: nearness is a
/// matter of time there.
pub const BATCH_ABOVE_SECONDS: u64 = 5;

/// See [`BATCH_ABOVE_SECONDS`].
pub const LIVE_BELOW_SECONDS: u64 = 1;

/// Transactions that are shown as those which a slot's creation waits for: more than an
/// operator reads.
pub(crate) const SNAPSHOT_WAITERS_SHOWN: i64 = 100;
