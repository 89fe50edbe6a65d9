//! customer-center: my page. A materialized view of every order, built from the log alone: the contexts that own the
//! data are never asked.

pub mod domain;
pub mod http;
mod rebuild;
mod store;

/// The context `customer-center`.
pub struct MyPages;

/// Its second self, which builds the pages anew while the first one goes on answering.
pub struct Rebuild;

kernel::component!(MyPages, http::routes);
