//! The kernel against real SQLite, with a context of its own: `tally`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bell;
mod bodies;
mod catch_up;
mod committing;
mod dead_letters;
mod gate;
mod idempotency;
mod identity;
mod migration;
mod patience;
mod plans;
mod schema;
mod signed_calls;
mod tally;
mod unit_of_work;
mod upgrade;
