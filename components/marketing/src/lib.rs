//! marketing: tells sellers and members what happened to an order.

pub mod domain;
pub mod http;
pub mod policy;
mod store;

pub use policy::Marketing;

kernel::component!(Marketing, http::routes);
