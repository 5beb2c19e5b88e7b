//! Tells a webhook how a migration goes: each phase, trouble, and how a command ended. Holds
//! always: the migration never waits for it. What the receiver does not take within bounds is
//! dropped, and a warning in the log says so.

mod clock;
mod event;
mod limits;
mod post;
mod watched;
mod webhook;
mod worker;

pub use event::Ended;
pub use watched::Watched;
pub use webhook::{BadWebhook, Webhook};
