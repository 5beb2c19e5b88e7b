//! Reading the change stream of a server: pgoutput decoded, transactions assembled in commit
//! order, in batches by SQL when far behind and from the walsender when near, and what may
//! be confirmed.
//!
//! A position moves only when the caller says that it is durable on the other side. Another
//! plugin's payload (`test_decoding`) has its place beside [`pgoutput`], in front of the
//! assembler.

pub mod assembler;
mod busy_slot;
mod error;
mod lag;
pub mod limits;
mod mode;
pub mod pgoutput;
mod reader;
pub mod slot;

pub use error::{CaptureError, StreamError};
pub use lag::{Lag, lag};
pub use mode::{Mode, Thresholds, decide};
pub use reader::{BatchReader, Feed, LiveOptions, LiveReader, Pulled, ReadPosition};
