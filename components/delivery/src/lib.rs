//! delivery: deliveries of paid orders, from requested to completed or cancelled.

pub mod domain;
pub mod http;
pub mod policy;
mod store;

/// The context `delivery`.
pub struct Deliveries;

kernel::component!(Deliveries, http::routes);
