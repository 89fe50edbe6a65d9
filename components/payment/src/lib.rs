//! payment: charges and refunds. An order is charged once, however often it is asked, and given back once when the order
//! comes to nothing.

pub mod domain;
pub mod gateway;
pub mod http;
pub mod policy;
mod settle;
mod store;

/// The context `payment`.
pub struct Payments;

#[cfg(target_family = "wasm")]
mod entry {
    #![allow(unsafe_code, clippy::expect_used, reason = "what the macros of the SDK generate")]
    use super::{Payments, http::routes};
    use axum::{body::Bytes, response::Response};
    use spin_sdk::{http::Request, http_service, redis_subscriber};

    #[http_service]
    async fn request(request: Request) -> Response {
        kernel::spin::serve::<Payments>(request, routes).await
    }

    #[redis_subscriber]
    async fn bell(bell: Bytes) -> anyhow::Result<()> {
        kernel::spin::wake::<Payments>(bell).await
    }
}
