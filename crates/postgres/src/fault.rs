//! An error of a server with the label of the side that it happened on. The label is the
//! caller's; nothing in this crate depends on it.

use trunkline_changes::Side;

use crate::error::PgError;

/// Which server failed, while we were doing what.
#[derive(Debug, thiserror::Error)]
#[error("{side}: {doing}: {cause}")]
pub struct Fault {
    /// The server.
    pub side: Side,
    /// What we were doing, such as `copying public.orders`.
    pub doing: String,
    /// What happened.
    #[source]
    pub cause: PgError,
}

/// Labels a server's error.
pub trait OnSide<T> {
    /// Adds the side and what we were doing.
    fn on(self, side: Side, doing: impl Into<String>) -> Result<T, Fault>;
}

impl<T> OnSide<T> for Result<T, PgError> {
    fn on(self, side: Side, doing: impl Into<String>) -> Result<T, Fault> {
        self.map_err(|cause| Fault {
            side,
            doing: doing.into(),
            cause,
        })
    }
}
