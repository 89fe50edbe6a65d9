//! order: orders, from placed to paid, delivered, rejected or cancelled. It asks payment to charge (request/response,
//! behind a circuit breaker) and follows everything else by events.

mod breaker;
pub mod domain;
pub mod http;
mod payment;
mod place;
pub mod policy;
mod store;

/// The context `order`.
pub struct Orders;

#[cfg(target_family = "wasm")]
mod entry {
    #![allow(unsafe_code, clippy::expect_used, reason = "what the macros of the SDK generate")]
    use super::{Orders, http::routes};
    use axum::{body::Bytes, response::Response};
    use spin_sdk::{http::Request, http_service, redis_subscriber};

    #[http_service]
    async fn request(request: Request) -> Response {
        kernel::spin::serve::<Orders>(request, routes).await
    }

    #[redis_subscriber]
    async fn bell(bell: Bytes) -> anyhow::Result<()> {
        kernel::spin::wake::<Orders>(bell).await
    }
}
