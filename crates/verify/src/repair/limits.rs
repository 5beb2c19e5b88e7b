//! Bounds of mending, with their arithmetic.

/// Differences that one transaction on the target mends. A thousand row locks at most, undone
/// and done again within a second when a row clashes.
pub(crate) const BATCH_ROWS: usize = 500;

/// What is gathered for one round trip to the target. Three copies of it are in memory at most
/// (as read, as statements, as the message), and of a single row where that is larger.
pub(crate) const PIECE_BYTES: usize = 16 << 20;

/// A script shows a value up to this length where it says what a row was; of a longer one it
/// gives the hash. With 1,600 columns and [`BATCH_ROWS`] rows that is 160 MB at the very most.
pub(crate) const SHOWN_BYTES: usize = 200;

/// Of a key's value, what errors and comments show.
pub(crate) const NAMED_CHARACTERS: usize = 80;
