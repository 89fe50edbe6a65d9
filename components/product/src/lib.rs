//! product: kits and their stock. Sellers register and change kits; paid orders take from the stock, cancelled ones
//! give back.

pub mod domain;
pub mod http;
pub mod policy;
mod store;

pub use policy::Products;

kernel::component!(Products, http::routes);
