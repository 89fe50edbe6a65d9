//! What all routes share: answers, problems, bodies, queries, correlation.

mod answer;
mod condition;
mod extract;
mod internal;
pub(crate) mod layer;
mod problem;

pub use answer::Answer;
pub use condition::{Conditions, ETag};
pub use extract::{Body, Checks, Key, Listing, OptionalBody, Page, Query, integer, object, optional_integer, patched};
pub use internal::{BELL, CATCH_UP, DEAD_LETTERS, METRICS, READY, SETTLE};
pub use layer::{app, context, serve};
pub use problem::{FieldError, Problem};

/// The largest body that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;
