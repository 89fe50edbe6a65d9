//! A stand-in for Spin, in this process: real SQLite in a file, everything else from memory.
//!
//! A [`Native`] is what one instance of a component sees; [`Native::replica`] is another instance in the same world:
//! the same database, key-value store, network and clock. An [`App`] is a context at work on it, with its routes.
//!
//! Every call to the platform has a name, by which tests make it fail, hold it, or find it again: a statement's is its
//! SQL, the others' are `POST http://…`, `PUBLISH channel`, `GET key` and `SET key`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "only tests use it")]

mod app;
mod event;
mod fault;
pub mod model;
mod native;
mod person;
pub mod scenario;

pub use app::{App, Reply, call, declared, guarded};
pub use event::{event, event_with, id};
pub use fault::Hold;
pub use native::Native;
pub use person::{KEY, authorization, bearer, claims, everybody, person, service};

use std::time::Duration;

/// How long a test waits for what should happen at once.
pub const DEADLINE: Duration = Duration::from_secs(10);
