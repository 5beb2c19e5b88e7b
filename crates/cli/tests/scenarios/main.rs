//! Whole scenarios through the real binary, on real servers, with writers that do not stop.

#[path = "../scene/mod.rs"]
mod scene;

mod versions;
