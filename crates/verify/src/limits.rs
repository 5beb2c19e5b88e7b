//! The limits of a comparison, with their arithmetic.

/// A table above it is read in parts of about this size where its key allows that: a second
/// or two of one core, so that several workers share a large table evenly and a part that
/// differs is cheap to list.
pub const PART_BYTES: u64 = 64 << 20;

/// Rows of a part at least, for tables whose rows are wide: cutting costs a statement.
pub(crate) const PART_ROWS_AT_LEAST: u64 = 1_000;

/// Rows that differ and are named, of one part: 100 bytes each while they are sought, and
/// some 500 when their key is read.
pub(crate) const NAMED_IN_A_PART: usize = 10_000;

/// Rows that differ and are named, of one table: 50 MB at most.
pub(crate) const NAMED_IN_A_TABLE: usize = 100_000;

/// Rows of one key (of equal rows, without a key) that are named.
pub(crate) const GROUP_SPOTS: usize = 1_000;

/// Rows whose key and columns are read with one statement.
pub(crate) const DETAILS_AT_ONCE: usize = 1_000;

/// Without a key, rows that are missing and rows that are too many are held against each
/// other to see which of them changed: at most so many of each, a million pairs.
pub(crate) const PAIRED_WITHOUT_KEY: usize = 1_000;

/// Tables of which the catalogs are read at once: what they say takes 600 bytes for each, on
/// either side.
pub(crate) const STUDIED_AT_ONCE: usize = 5_000;

/// Keys that one statement names: 50 kB of SQL.
pub(crate) const KEYS_AT_ONCE: usize = 500;
