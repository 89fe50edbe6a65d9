//! What every context needs once.
//!
//! A context is four pure functions ([`Context`]) and a few rows ([`State`]); the [`Kernel`] brings them to life:
//! it reads the log, loads the rows, lets the context decide, and commits state and events as one statement
//! (`sql/context.sql`). [`http`] is what all routes share, [`platform`] what Spin gives us.

pub mod bell;
mod commit;
pub mod context;
pub mod correlation;
pub mod database;
pub mod dead_letter;
mod error;
pub mod gate;
pub mod http;
pub mod idempotency;
mod kernel;
mod log;
pub mod log_line;
pub mod metrics;
mod migration;
#[cfg(feature = "testing")]
pub mod model;
pub mod platform;
mod rows;
#[cfg(feature = "testing")]
pub mod scenario;
#[cfg(target_family = "wasm")]
pub mod spin;
#[cfg(feature = "testing")]
pub mod testing;

pub use context::{Context, Recorded};
pub use correlation::Trace;
pub use error::{Error, Failure};
pub use kernel::{Executed, Kernel, Position, schema};
pub use log::{Entry, Log};
pub use rows::{Entity, RowKey, Rows, State, Versioned};
/// What goes wrong between a row and its entity.
pub use serde_json::Error as DataError;
