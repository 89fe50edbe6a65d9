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

kernel::component!(Payments, http::routes);
