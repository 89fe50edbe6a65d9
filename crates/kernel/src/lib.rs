//! What every context needs once.
//!
//! A context is a few pure functions ([`Decider`], [`Context`]) and a few rows ([`State`]); the [`Kernel`] brings them to
//! life: it reads the log, loads the rows, lets the context decide, and commits state and events as one statement
//! (`sql/context.sql`). [`http`] is what all routes share, [`platform`] what Spin gives us.

pub mod actor;
pub mod bell;
mod bookmark;
pub mod call;
mod card;
mod catch_up;
pub mod context;
pub mod correlation;
pub mod database;
pub mod dead_letter;
mod error;
mod execute;
pub mod gate;
pub mod http;
mod idempotency;
pub mod identity;
mod kernel;
mod log;
pub mod log_line;
pub mod metrics;
mod migration;
pub mod platform;
mod read;
mod rows;
#[cfg(target_family = "wasm")]
pub mod spin;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
mod unit;

pub use bookmark::Bookmark;
pub use catch_up::Position;
pub use context::{Context, Decider, Recorded};
pub use correlation::Trace;
pub use error::{Error, Failure};
pub use execute::{Executed, Execution};
pub use idempotency::{Attempt, Created};
pub use kernel::{Kernel, schema};
pub use log::{Entry, Log};
pub use read::Known;
pub use rows::{Entity, RowKey, Rows, State, Versioned};
/// What goes wrong between a row and its entity.
pub use serde_json::Error as DataError;

/// The entry points of a component: `component!(Orders, http::routes)` for a context, which Spin calls by HTTP and wakes by
/// Redis; `component!("journal", http::routes)` for routes alone. The component needs `spin-sdk` among its dependencies, for
/// that is what the SDK's macros name.
#[macro_export]
macro_rules! component {
    ($name:literal, $routes:path) => {
        #[cfg(target_family = "wasm")]
        async fn entry(request: ::spin_sdk::http::Request) -> ::axum::response::Response {
            static ROUTES: $crate::spin::Plain = $crate::spin::Plain::new();
            ROUTES.serve($name, request, $routes).await
        }

        #[cfg(target_family = "wasm")]
        #[allow(
            unsafe_code,
            clippy::expect_used,
            clippy::disallowed_macros,
            reason = "what the macros of the SDK generate"
        )]
        mod spin_entry {
            #[::spin_sdk::http_service]
            async fn request(request: ::spin_sdk::http::Request) -> ::axum::response::Response {
                super::entry(request).await
            }
        }
    };
    ($context:ty, $routes:path) => {
        #[cfg(target_family = "wasm")]
        static COMPONENT: $crate::spin::Component<$context> = $crate::spin::Component::new($routes);

        #[cfg(target_family = "wasm")]
        #[allow(
            unsafe_code,
            clippy::expect_used,
            clippy::disallowed_macros,
            reason = "what the macros of the SDK generate"
        )]
        mod spin_entry {
            use super::COMPONENT;

            #[::spin_sdk::http_service]
            async fn request(request: ::spin_sdk::http::Request) -> ::axum::response::Response {
                COMPONENT.serve(request).await
            }

            #[::spin_sdk::redis_subscriber]
            async fn bell(bell: ::axum::body::Bytes) -> Result<(), $crate::Error> {
                COMPONENT.wake(bell).await
            }
        }
    };
}
