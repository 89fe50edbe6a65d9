//! The lines of a header.

use super::Problem;
use http::{HeaderMap, HeaderValue, header::AsHeaderName};
use std::fmt::Display;

/// The one line of a header that has one value, if it is there.
///
/// # Errors
/// 400 when it is said twice: whichever is taken, somebody in between may have taken the other.
pub fn only_line(
    headers: &HeaderMap,
    name: impl AsHeaderName + Display + Copy,
) -> Result<Option<&HeaderValue>, Problem> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(Problem::malformed(format!("The header `{name}` must be there once."))),
        (line, None) => Ok(line),
    }
}
