//! Bounds of the copy, with their arithmetic.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A table above this is cut, so that several connections load it. Not sooner: a table that is
/// loaded whole by one transaction has its rows frozen, and several connections that extend
/// one table wait for each other (before 16, four on two cores are slower than one:
/// docs/decisions/0013). At 100 MB/s one part of this size takes 80 seconds.
pub(crate) const CUT_BYTES: u64 = 8 << 30;

/// A chunk is about this much of heap and TOAST together: at 100 MB/s it takes ten seconds,
/// so that workers finish together, and 10 TB are 10,000 chunks.
pub(crate) const CHUNK_BYTES: u64 = 1 << 30;

/// Chunks of one table at most, so that a table of 100 TB has ledger rows in the thousands.
pub(crate) const CHUNKS_MAX: u64 = 4_096;

/// A table above this is cut into key ranges with a snapshot each: at 100 MB/s a snapshot
/// then lives for about ten minutes at most.
pub(crate) const KEY_SPLIT_BYTES: u64 = 64 << 30;

/// A key range is about this much.
pub(crate) const KEY_RANGE_BYTES: u64 = 8 << 30;

/// Connections to the source and to the target that copy, unless told otherwise.
pub(crate) const JOBS: usize = 4;

/// Connections to the target that build indexes, unless told otherwise.
pub(crate) const INDEX_JOBS: usize = 4;

/// What is kept of a program's stderr in an error.
pub(crate) const STDERR_BYTES: usize = 4_000;

/// Between two looks whether `pg_dump` is in the way of clients: several before a server looks for
/// deadlocks, of which a client would be the victim (`deadlock_timeout`, a second).
pub(crate) const DUMP_LOOK: Duration = Duration::from_millis(250);

/// How long it may be so the first time, and at the most: it doubles each time, so where tables
/// are taken all the time it is a minute after six tries.
pub(crate) const DUMP_PATIENCE: Duration = Duration::from_secs(1);
pub(crate) const DUMP_PATIENCE_MOST: Duration = Duration::from_mins(1);

/// How long our own word that its process is to end may take.
pub(crate) const DUMP_ENDS_WITHIN: Duration = Duration::from_secs(10);

/// After `pg_dump` made room it is run again after so long: whoever waited for it comes first.
pub(crate) const CLIENTS_FIRST: Duration = Duration::from_secs(1);

/// Tries for one chunk, table or index. With the pauses below they last about four minutes,
/// which covers a restart or a failover of either server.
pub(crate) const ATTEMPTS: u32 = 12;

/// The first pause between tries.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between tries.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One piece of a large object: with its hexadecimal form a statement is below 1 MB.
pub(crate) const LARGE_OBJECT_PIECE_BYTES: i32 = 256 * 1024;

/// Large objects whose listing is held at once.
pub(crate) const LARGE_OBJECTS_PER_PAGE: i64 = 10_000;

/// Entries of the structure that are made in one transaction: each takes about ten locks at the
/// most, and a server has 6,400 by default. With 32 the round trips of 200,000 tables take
/// seconds.
pub(crate) const ENTRIES_AT_ONCE: usize = 32;

/// Large objects that are removed in one transaction, each under a lock.
pub(crate) const LARGE_OBJECTS_UNLINKED_AT_ONCE: u64 = 250;

/// Sequences that are read or set in one transaction: each holds a lock until it ends, of the
/// 6,400 that a server has by default. With 250, 20,000 take 80 round trips.
pub(crate) const SEQUENCES_AT_ONCE: usize = 250;

/// Sequences that are asked themselves in one statement. The server takes 54 microseconds for
/// each then, and 210 with 1,000.
pub(crate) const SEQUENCES_ASKED_AT_ONCE: usize = 50;

/// From so many entries of one kind on (tables, sequences and views; grants), those that need
/// nothing of each other are made on several connections: fewer take a tenth of a second on one.
pub(crate) const APART_LEAST: usize = 4 * ENTRIES_AT_ONCE;

/// Connections that make entries at once, at the most: with ten locks for each entry of a
/// transaction they hold 2,560 of the 6,400 that a server has by default.
pub(crate) const MAKERS: usize = 8;

/// Tables up to this size are copied [`ENTRIES_AT_ONCE`] together, and indexes built: 4 MB
/// then, a tenth of a second, which is what is done again where one of them fails.
pub(crate) const TOGETHER_BYTES: u64 = 128 << 10;

/// Tables that have this much when their turn comes do not go together: twice what they may
/// have had when their sizes were read, 8 MB.
pub(crate) const GROWN_BYTES: u64 = 2 * ENTRIES_AT_ONCE as u64 * TOGETHER_BYTES;

/// Into how many groups that much of what is left is cut, at the least: more than there are
/// connections, so that they finish together.
pub(crate) const SHARES: usize = 16;

/// Tables whose statistics are gathered in one transaction have at most this much together:
/// a few milliseconds, about what the wait of a commit for the disk takes. They are
/// [`ENTRIES_AT_ONCE`] at most.
pub(crate) const ANALYZED_TOGETHER_BYTES: u64 = 1 << 20;

/// Names that go in one query; a message stays in the megabytes.
pub(crate) const NAMES_PER_QUERY: usize = 10_000;

/// Memory for a validation, and for the build of an index that is large or of a method whose
/// need is not known, unless the target's own setting is more: four at once take 1 to 2 GB,
/// and with the least a sort of 100 GB still merges in one pass.
pub(crate) const BUILD_LARGE_BYTES: RangeInclusive<u64> = 256 << 20..=512 << 20;

/// Memory for each process that builds any other: what the caches near a core hold, and the
/// least with which the server begins all workers that its settings allow.
pub(crate) const BUILD_PROCESS_BYTES: u64 = 32 << 20;

/// Up to this size a b-tree is built with little memory: by one process in some 130 runs, of
/// which it merges about 120 at once.
pub(crate) const BUILD_SORTED_BYTES: u64 = 4 << 30;

/// A GIN index is built with little memory up to this share of what the target's
/// `effective_cache_size` says: every portion of its entries goes all over the index.
pub(crate) const BUILD_CACHED_SHARE: u64 = 4;

/// For how long tables of a standby begin under one snapshot: it holds vacuum on the primary
/// back for so long, and as long as the last table takes that began under it. To make another
/// takes a second, so nearly all of the time goes to rows.
pub(crate) const STANDBY_SNAPSHOT_FOR: Duration = Duration::from_mins(5);

/// How often the primary is asked for the record that a slot on its standby waits for. A slot
/// needs up to three, so this adds about a second.
pub(crate) const RUNNING_RECORD_AGAIN: Duration = Duration::from_millis(300);

/// Snapshots that are made for one table which is emptied or rewritten all the time.
pub(crate) const STORAGE_LOOKS: u32 = 10;

/// From this size of its index on, a key is built as an index first, where others are built
/// beside it: below it the build takes a few milliseconds, less than the second commit.
pub(crate) const BUILT_APART_BYTES: u64 = 16 << 20;

/// A build that takes this many times as long as all others together has only one of them
/// beside it: on a server with many cores that costs nothing as long as the others still end
/// before it, and how long a GIN build takes is known to a factor of three or so.
pub(crate) const LONG_BUILD_FACTOR: u64 = 4;

/// From so much out of line on a table is looked at for values that compression does not make
/// smaller: trying it on 16 MB takes a quarter of a second, the look some milliseconds.
pub(crate) const WIDE_FROM_BYTES: u64 = 16 << 20;

/// Pages of a table that are looked at for it, where out-of-line values leave room for dozens
/// of rows in each.
pub(crate) const SAMPLED_PAGES: u32 = 64;

/// Stored values from this size on (bytes) were tried: the server compresses what makes a row
/// larger than 2 kB.
pub(crate) const IN_VAIN_BYTES: u32 = 2_000;

/// So many of them say that trying is in vain, where the sample is not the whole table. If one
/// in fifty could be made smaller, seven of eight samples of this size would show it.
pub(crate) const IN_VAIN_VALUES: u32 = 100;

/// From so many objects on the catalogs' statistics are gathered: it takes a second for 100,000.
pub(crate) const CATALOGS_ANALYZED_FROM: usize = 2_000;

/// How long that waits for somebody else who works on one of the catalogs.
pub(crate) const CATALOGS_WAIT: &str = "5s";
