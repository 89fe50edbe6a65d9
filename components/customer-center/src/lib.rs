//! customer-center: my page. A materialized view of every order, built from the log alone: the contexts that own the
//! data are never asked.

pub mod domain;
pub mod http;
pub mod policy;
mod rebuild;
mod store;

/// The context `customer-center`.
pub struct MyPages;

/// Its second self, which builds the pages anew while the first one goes on answering.
pub struct Rebuild;

#[cfg(target_family = "wasm")]
mod entry {
    #![allow(unsafe_code, clippy::expect_used, reason = "what the macros of the SDK generate")]
    use super::{MyPages, http::routes};
    use axum::{body::Bytes, response::Response};
    use spin_sdk::{http::Request, http_service, redis_subscriber};

    #[http_service]
    async fn request(request: Request) -> Response {
        kernel::spin::serve::<MyPages>(request, routes).await
    }

    #[redis_subscriber]
    async fn bell(bell: Bytes) -> anyhow::Result<()> {
        kernel::spin::wake::<MyPages>(bell).await
    }
}
