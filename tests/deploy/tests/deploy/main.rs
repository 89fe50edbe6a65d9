//! `deploy/` and `.github/`, as far as they can be checked without a cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "whatever goes wrong here is a failed test"
)]

mod apart;
mod docs;
mod kubernetes;
mod monitoring;
mod rollout;
mod schemas;
mod shim;
mod token;
mod workflows;
