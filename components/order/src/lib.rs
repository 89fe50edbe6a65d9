//! order: orders, from placed to paid, delivered, rejected or cancelled. It asks payment to charge (request/response,
//! behind a circuit breaker) and follows everything else by events.

mod breaker;
pub mod domain;
pub mod http;
mod payment;
pub mod policy;
mod store;

pub use policy::Orders;

kernel::component!(Orders, http::routes);
