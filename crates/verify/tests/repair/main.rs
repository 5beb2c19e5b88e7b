//! Differences are mended by sessions and by a script, and both targets end as the source.

mod bench;
mod differ;
mod harm;
mod keys;
mod matrix;
mod refusals;
mod values;
