//! How clients are held, moved and released, as the cutover sees it. Whoever implements
//! [`Traffic`] decides nothing; each of its steps may be called again after a crash, and
//! ends the same.

use std::fmt::Debug;
use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use trunkline_changes::Side;

/// A step that is under way.
pub type Step<'a> = Pin<Box<dyn Future<Output = Result<(), TrafficError>> + Send + 'a>>;

/// A step that failed or took too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("traffic: {step}: {why}")]
pub struct TrafficError {
    /// `look`, `hold`, `switch`, `release` or `verify`.
    pub step: &'static str,
    /// What happened.
    pub why: String,
}

/// What stands between clients and the two servers. Every step gets the time that is left
/// for it, and leaves no half-done work behind when it is given up.
pub trait Traffic: Debug + Send + Sync {
    /// What holding does to clients, in one line for the plan's steps.
    fn describe(&self) -> String;

    /// Looks, before anyone is held, whether it can do its part: it answers, and clients go
    /// to the side that serves.
    fn look(&self, serves: Side, within: Duration) -> Step<'_>;

    /// Makes clients of the side that serves wait; when it ends, no statement of theirs is
    /// under way.
    fn hold(&self, serves: Side, within: Duration) -> Step<'_>;

    /// Points clients to a side, without letting them go on.
    fn point_at(&self, side: Side, within: Duration) -> Step<'_>;

    /// Lets clients go on, on the side that serves. Called also where nothing was held.
    fn release(&self, serves: Side, within: Duration) -> Step<'_>;

    /// Reads back that clients go to this side: not knowing is an error, unless there is
    /// nothing to read.
    fn verify(&self, serves: Side, within: Duration) -> Step<'_>;
}

/// Nobody is told: clients are ended by the fence, and the operator points them to the
/// other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NobodyTold;

impl Traffic for NobodyTold {
    fn describe(&self) -> String {
        "nobody is told: the fence ends their sessions".to_owned()
    }

    fn look(&self, _serves: Side, _within: Duration) -> Step<'_> {
        Box::pin(ready(Ok(())))
    }

    fn hold(&self, _serves: Side, _within: Duration) -> Step<'_> {
        Box::pin(ready(Ok(())))
    }

    fn point_at(&self, _side: Side, _within: Duration) -> Step<'_> {
        Box::pin(ready(Ok(())))
    }

    fn release(&self, _serves: Side, _within: Duration) -> Step<'_> {
        Box::pin(ready(Ok(())))
    }

    fn verify(&self, _serves: Side, _within: Duration) -> Step<'_> {
        Box::pin(ready(Ok(())))
    }
}
