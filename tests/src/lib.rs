//! The shop as a black box: what it takes to run it, to talk to it, and to look at what it did.
//!
//! The tests (`tests/black_box/`) reach the app over HTTP and Redis only, whoever started it. The counter-proofs alone
//! know its SQLite file: they take the condition out of the unit of work, to show that the tests would notice.
//!
//! | variable | |
//! |---|---|
//! | `MEALKIT_HOST` | what runs the app: `mealkit-host`, or `spin`; without it `target/release/mealkit-host` |
//! | `MEALKIT_MANIFEST_HTTP` | the manifest for the tests without Redis; without it `spin.toml` with `bell=http` |
//! | `MEALKIT_NO_REDIS` | set: tests that need a Redis are skipped |
//! | `MEALKIT_LIBSQL_URL` | a libSQL server with an empty database: the shops that tests share have their tables there |
//! | `MEALKIT_SEED` | the seed of whatever is at random; each such test prints its own |
//! | `MEALKIT_SIGNING_KEY` | the `signing_key` of that app, by which the tests make their tokens |
//! | `MEALKIT_URL` | an app that somebody else started: tests that need nothing but HTTP run against it |
//!
//! A test is a function of a running [`Shop`] that it shares with others ([`shared!`]), or of a [`Mode`] in which it
//! starts shops of its own ([`own!`]). Each runs with Redis and without.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness for tests: whatever goes wrong is a failed test"
)]

mod auditor;
mod chance;
mod clock;
mod disk;
mod fault;
mod gateway;
mod growth;
mod http_client;
mod load;
mod log;
mod people;
mod process;
mod proxy;
mod redis;
mod replica;
mod run;
mod sabotage;
mod scene;
mod shop;
mod storm;
mod story;
mod wait;

pub use auditor::{Kind, Report, Violation};
pub use chance::{Chance, seed};
pub use clock::Clock;
pub use disk::Disk;
pub use fault::{CHANNELS, Fault, Lock};
pub use gateway::{Account, Books, Gateway, Mood, TOKEN};
pub use growth::{MEMBERS, member_of_the_past};
pub use http_client::{Answer, Call, Client};
pub use load::{Entry, Ledger, Load, Price};
pub use log::{Event, Events};
pub use people::{People, Person, authorization, because, signing_key};
pub use process::as_root;
pub use proxy::Proxy;
pub use redis::{Redis, Subscription};
pub use replica::Replica;
pub use run::{on_our_host, quiet_shop, run_on, run_own, run_shared, say};
pub use scene::{Outcome, Scene, Setting};
pub use shop::{Builder, Front, Mode, Shop};
pub use storm::{Sabotage, Storm};
pub use story::{CARD, Kit, Order, UNDER_WAY, text, unique};
pub use wait::{all_at_once, eventually, throughout, within};

/// JSON.
pub use serde_json::{Value as Json, json};

/// Runs these functions of `&Shop` in both modes, each on a shop that is shared.
#[macro_export]
macro_rules! shared {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn with_redis() {
                $crate::run_shared($crate::Mode::Redis, super::$name);
            }
            #[test]
            fn over_http() {
                $crate::run_shared($crate::Mode::Http, super::$name);
            }
        }
    )+ };
}

/// Runs these functions of [`Mode`] in both modes; they start their own shops.
#[macro_export]
macro_rules! own {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn with_redis() {
                $crate::run_own($crate::Mode::Redis, super::$name);
            }
            #[test]
            fn over_http() {
                $crate::run_own($crate::Mode::Http, super::$name);
            }
        }
    )+ };
}
