//! customer-center: my page. A materialized view of every order, built from the log alone: the contexts that own the
//! data are never asked.

pub mod domain;
pub mod http;
pub mod policy;
mod rebuild;
mod store;

pub use policy::MyPages;

kernel::component!(MyPages, http::routes);
