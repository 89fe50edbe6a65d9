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
mod browsers;
mod clock;
mod contract;
mod crash;
mod disk;
mod fuzz;
mod gateway;
mod growth;
mod idempotency;
mod kill;
mod lists;
mod locked;
mod lost_bells;
mod members;
mod my_page;
mod payment_down;
mod poison;
mod race;
mod redis;
mod replicas;
mod retention;
mod rolling;
mod scenarios;
mod search;
mod signed;
mod slow_bodies;
mod stock;
mod storm;
mod trap;
mod wire;
