//! The readers and the slot against real servers.

mod agreement;
mod big_transactions;
mod confirming;
mod decoders;
mod resuming;
mod setup;
mod slots;
