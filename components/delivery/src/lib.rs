//! delivery: deliveries of paid orders, from requested to completed or cancelled.

pub mod domain;
pub mod http;
pub mod policy;
mod store;

/// The context `delivery`.
pub struct Deliveries;

#[cfg(target_family = "wasm")]
mod entry {
    #![allow(unsafe_code, clippy::expect_used, reason = "what the macros of the SDK generate")]
    use super::{Deliveries, http::routes};
    use axum::{body::Bytes, response::Response};
    use spin_sdk::{http::Request, http_service, redis_subscriber};

    #[http_service]
    async fn request(request: Request) -> Response {
        kernel::spin::serve::<Deliveries>(request, routes).await
    }

    #[redis_subscriber]
    async fn bell(bell: Bytes) -> anyhow::Result<()> {
        kernel::spin::wake::<Deliveries>(bell).await
    }
}
