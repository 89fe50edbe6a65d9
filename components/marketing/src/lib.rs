//! marketing: tells sellers and members what happened to an order.

pub mod domain;
pub mod http;
pub mod policy;
mod store;

/// The context `marketing`.
pub struct Marketing;

kernel::component!(Marketing, http::routes);
