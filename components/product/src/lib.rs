//! product: kits and their stock. Sellers register and change kits; paid orders take from the stock, cancelled ones
//! give back.

pub mod domain;
pub mod http;
pub mod policy;
pub mod search;
mod store;

/// The context `product`.
pub struct Products;

kernel::component!(Products, http::routes);
