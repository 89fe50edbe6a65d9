//! A stand-in for Spin, in this process: real SQLite, everything else from memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "only tests use it")]
