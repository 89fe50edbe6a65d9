//! marketing: tells sellers and members what happened to an order.

pub mod domain;
pub mod http;
pub mod policy;
mod store;

/// The context `marketing`.
pub struct Marketing;

#[cfg(target_family = "wasm")]
mod entry {
    #![allow(unsafe_code, clippy::expect_used, reason = "what the macros of the SDK generate")]
    use super::{Marketing, http::routes};
    use axum::{body::Bytes, response::Response};
    use spin_sdk::{http::Request, http_service, redis_subscriber};

    #[http_service]
    async fn request(request: Request) -> Response {
        kernel::spin::serve::<Marketing>(request, routes).await
    }

    #[redis_subscriber]
    async fn bell(bell: Bytes) -> anyhow::Result<()> {
        kernel::spin::wake::<Marketing>(bell).await
    }
}
