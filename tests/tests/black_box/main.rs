//! The shop as a black box, with Redis and without. See the crate `tests` for how it is run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "whatever goes wrong here is a failed test"
)]

mod bad_input;
mod bells;
mod breaker;
mod chaos;
mod contract;
mod crash;
mod idempotency;
mod lists;
mod lost_bells;
mod my_page;
mod payment_down;
mod race;
mod retention;
mod scenarios;
mod stock;
mod wire;
