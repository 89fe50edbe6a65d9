//! delivery: deliveries of paid orders, from requested to completed or cancelled.

pub mod domain;
pub mod http;
pub mod policy;
mod store;

pub use policy::Deliveries;

kernel::component!(Deliveries, http::routes);
