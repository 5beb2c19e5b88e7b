//! Throwaway PostgreSQL servers on this machine, for the demo and for the tests.
//!
//! A [`Server`] listens on 127.0.0.1 only, on a port of its own, with its data in a temporary
//! folder. It dies with the process that started it, however that process ends: a watchdog
//! process reads a pipe that only we hold, and clears up when it closes.
//!
//! PostgreSQL refuses to run as root; started by root, the servers run as the user `postgres`.

mod account;
mod builder;
mod component;
mod error;
mod ground;
mod installation;
mod launch;
mod port;
mod processes;
mod server;
mod system_identifier;
mod template;
mod watchdog;

pub use builder::ServerBuilder;
pub use component::{Component, component_program};
pub use error::SandboxError;
pub use ground::Ground;
pub use installation::{Installation, cache_folder, client_programs, installed, program};
pub use port::free_port;
pub use server::{Mode, Server};
