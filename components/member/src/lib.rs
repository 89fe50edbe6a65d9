//! member: who somebody is, and what they may do. It signs people in; every other context finds out by itself who holds a
//! token, from the log. What is personal stays here, sealed, and is in no event.

pub mod domain;
pub mod http;
mod keys;
mod password;
mod policy;
mod secrets;
mod sign_in;
mod store;
mod throttle;

/// The context `member`.
pub struct Members;

kernel::component!(Members, http::routes);
