//! Access tokens: JSON Web Tokens (RFC 7519) of the profile RFC 9068, signed with Ed25519 (RFC 8037). One algorithm, one
//! issuer, one audience: what a token says of those is compared and never followed (RFC 8725).
//!
//! Pure: keys, times and randomness come from whoever calls.

pub mod base64url;
mod claims;
mod jwt;
mod key;
pub mod mac;

pub use claims::{AUDIENCE, Claims, ISSUER, Role};
pub use jwt::{Invalid, LONGEST, Unverified, sign};
pub use key::{NotAKey, PublicKey, SigningKey};
