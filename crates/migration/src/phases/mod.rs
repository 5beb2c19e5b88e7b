//! One file for each phase, in one order inside: what it needs, what it does, how it looks
//! whether it was done, how it is undone.

pub(crate) mod base_backup;
pub(crate) mod copying;
pub(crate) mod cutover;
pub(crate) mod ddl_log;
pub(crate) mod ending;
pub(crate) mod mending;
pub(crate) mod prepare;
pub(crate) mod publication;
pub(crate) mod publishing;
pub(crate) mod renaming;
pub(crate) mod seeding;
pub(crate) mod verifying;
pub(crate) mod watched;
pub(crate) mod way_back;
