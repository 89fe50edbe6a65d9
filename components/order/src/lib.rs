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

kernel::component!(Orders, http::routes);
