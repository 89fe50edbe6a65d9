//! journal: the log as outsiders see it, the periodic catch-up, the doorbells where there is no Redis, and what operators
//! need: health, figures, dead letters. It is no bounded context: it decides nothing and remembers nothing.

mod contexts;
mod dead_letters;
mod events;
mod health;
pub mod http;
mod metrics;

#[cfg(target_family = "wasm")]
mod entry {
    #![allow(unsafe_code, clippy::expect_used, reason = "what the macros of the SDK generate")]
    use crate::http::routes;
    use axum::response::Response;
    use spin_sdk::{http::Request, http_service};

    #[http_service]
    async fn request(request: Request) -> Response {
        kernel::spin::serve_routes("journal", request, routes).await
    }
}
