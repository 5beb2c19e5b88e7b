//! The structure of two databases: a copy does not differ, and each single change is named.

mod changes_of_tables;
mod changes_of_the_rest;
mod copies;
mod scene;
mod scope;
mod single_changes;
mod versions;
