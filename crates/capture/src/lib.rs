//! Reading the change stream of a server: pgoutput decoded, transactions assembled in commit
//! order, in batches by SQL when far behind and from the walsender when near, and what may
//! be confirmed.
//!
//! A position moves only when the caller says that it is durable on the other side. What
//! `test_decoding` prints is put into the messages of [`pgoutput`] in front of the assembler.

pub mod assembler;
mod busy_slot;
mod error;
mod lag;
pub mod limits;
mod mode;
pub mod pgoutput;
mod reader;
pub mod slot;
pub mod test_decoding;

pub use error::{CaptureError, StreamError};
pub use lag::{Lag, lag};
pub use mode::{Mode, Thresholds, decide};
pub use reader::{BatchReader, Decoder, Feed, LiveOptions, LiveReader, Pulled, ReadPosition};
