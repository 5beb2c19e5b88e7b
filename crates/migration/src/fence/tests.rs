//! The fence on real servers.
