//! The structure: what `pg_dump` says of the source, cut into entries, chosen by scope, and
//! run on the target one by one, each recorded with its own commit.

mod announcement;
mod constraint;
mod dump;
mod entry;
mod existing;
mod foreign_key;
mod identifier;
mod lines;
mod listing;
mod options;
mod order;
mod programs;
mod record;
mod run;
mod script;
mod select;
mod strands;
mod toc;

pub(crate) use constraint::split as split_constraint;
pub use dump::Structure;
pub(crate) use dump::{Dumped, attempts, drop_script, dump, forget_attempt, is_dumped};
pub use entry::{Entry, LeftOut, Section};
pub use existing::{Existing, drop_tables, existing_objects};
pub(crate) use foreign_key::{ForeignKey, split as split_foreign_key};
pub(crate) use order::{BuildStep, Builds, Company, Stage, relation_of, table_builds};
pub use programs::Programs;
pub(crate) use record::{
    ANALYZED, CLOSED, INDEXED, Key, LEFT_BEHIND, REFRESHED, Record, VALIDATED,
    forget_sql as forget_record_sql, given_up, key, key_as, key_of,
};
pub(crate) use run::Runner;
pub(crate) use select::{Selection, select};
pub(crate) use strands::{Stretch, stretches};
