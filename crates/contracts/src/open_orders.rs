//! What member asks of order: which orders of a member something may still become of. Request/response, on a route that no
//! outsider reaches.

/// Order's private route. With `?member_id=`; the answer is a list of ids.
pub const PATH: &str = "/internal/open-orders";
