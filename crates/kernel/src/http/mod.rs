//! What all routes share: answers, problems, bodies, queries, correlation.

mod access;
mod answer;
mod browser;
mod condition;
mod extract;
pub(crate) mod internal;
pub(crate) mod layer;
mod line;
mod problem;

pub use access::{Access, Declared, Routes};
pub use answer::Answer;
pub use condition::{Conditions, ETag};
pub use extract::{
    Body, Checks, Key, Listing, NoMembers, OptionalBody, Owners, Page, Query, integer, object, optional_integer,
    patched,
};
pub use internal::{BELL, CATCH_UP, DEAD_LETTERS, METRICS, READY, SETTLE};
pub use layer::{Layer, context};
pub use line::only_line;
pub use problem::{FieldError, Problem};

/// Under which the routes are that only contexts reach: no public route leads there, and a gateway before contexts that are
/// deployed apart must not.
pub const INTERNAL: &str = "/internal/";

/// The largest body that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;
