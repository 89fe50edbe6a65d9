//! What the shop promises to others: its API ([`Api`], `docs/openapi.yaml`) and its events ([`events`], `wit/`).
//!
//! A promise is written down as [`Facts`], a line each. Those once given are in `golden/`; [`Facts::since`] compares them
//! with those of today and tells what breaks somebody from what only adds something.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness for tests: whatever goes wrong is a failed test"
)]

mod api;
pub mod events;
mod facts;

pub use api::Api;
pub use facts::{Changes, Facts};

use std::path::{Path, PathBuf};

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
