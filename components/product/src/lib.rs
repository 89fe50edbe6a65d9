//! product: kits and their stock. Sellers register and change kits; paid orders take from the stock, cancelled ones
//! give back.

pub mod domain;
pub mod http;
pub mod policy;
mod store;

/// The context `product`.
pub struct Products;

#[cfg(target_family = "wasm")]
mod entry {
    #![allow(unsafe_code, clippy::expect_used, reason = "what the macros of the SDK generate")]
    use super::{Products, http::routes};
    use axum::{body::Bytes, response::Response};
    use spin_sdk::{http::Request, http_service, redis_subscriber};

    #[http_service]
    async fn request(request: Request) -> Response {
        kernel::spin::serve::<Products>(request, routes).await
    }

    #[redis_subscriber]
    async fn bell(bell: Bytes) -> anyhow::Result<()> {
        kernel::spin::wake::<Products>(bell).await
    }
}
