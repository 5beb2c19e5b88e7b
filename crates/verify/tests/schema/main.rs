//! The structure of two databases: a copy does not differ, and each single change is named.

mod copies;
mod scene;
