//! What a context needs of the world around it, as one port. Spin is one adapter ([`crate::spin`]), the native tests'
//! stand-in another ([`crate::testing`]).

use axum::body::Bytes;
use futures::future::{BoxFuture, Either, select};
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    pin::pin,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

/// A value in a row or a parameter of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Integer(i64),
    Text(String),
}

impl Value {
    /// The text in it, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer in it, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        }
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Value::Integer(integer)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A row of an answer.
pub type Row = Vec<Value>;

/// Why a statement failed. Nothing of it was done. Each holds the database's own message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Somebody else holds the lock: it may work in a moment.
    #[error("the database is in use by others: {0}")]
    Busy(String),
    /// The database cannot be used at the moment: it is away, full, or cannot be written.
    #[error("the database cannot be used at the moment: {0}")]
    Unavailable(String),
    /// The connection knows no such table, view or column: its schema may be older than the database's.
    #[error("the database's schema is another one: {0}")]
    Schema(String),
    /// The database refused what is in the statement, and will do so every time.
    #[error("the database refused a statement: {0}")]
    Failed(String),
}

impl PlatformError {
    /// What SQLite, or a libSQL server, means by this message: Spin hands on no codes.
    pub fn of_sqlite(message: String) -> Self {
        const BUSY: [&str; 4] = [
            "database is locked",
            "database table is locked",
            "database schema is locked",
            // What is behind a virtual table could not be read, because somebody was changing the schema at that moment.
            "vtable constructor failed",
        ];
        const UNAVAILABLE: [&str; 12] = [
            "database or disk is full",
            "attempt to write a readonly database",
            "disk I/O error",
            "unable to open database",
            "out of memory",
            "database disk image is malformed",
            // A libSQL server that is away, has no connection left, or has given this one up.
            "http error",
            "Timed out while opening",
            "STREAM_EXPIRED",
            // The host: no room for a connection, no thread, or a request that shares the connection is slow to read its rows.
            "too many connections opened",
            "internal runtime error",
            "still has rows nobody read",
        ];
        const SCHEMA: [&str; 4] =
            ["no such table: ", "no such column: ", " has no column named ", "database schema has changed"];
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
        if says(&BUSY) {
            Self::Busy(message)
        } else if says(&UNAVAILABLE) {
            Self::Unavailable(message)
        } else if says(&SCHEMA) {
            Self::Schema(message)
        } else {
            Self::Failed(message)
        }
    }
}

/// The world around a context. Where an error is a text, it is the platform's own message.
pub trait Platform: Send + Sync + 'static {
    /// Runs one statement on the default database and returns all its rows. A connection on which a statement failed with
    /// [`PlatformError::Unavailable`] or [`PlatformError::Schema`] is not used again.
    fn query<'a>(&'a self, sql: &'a str, parameters: Vec<Value>) -> BoxFuture<'a, Result<Vec<Row>, PlatformError>>;

    /// Lets go of the connection that writes: the next statement opens one that sees the schema as it is now.
    ///
    /// SQLite does not notice that a connection's schema is old when a table is missing that is named only inside a
    /// trigger, which is how units of work name theirs. What reads notices by itself.
    fn renew(&self);

    /// Sends a request and returns the whole answer. It waits as long as the other side takes.
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<http::Response<Bytes>, String>>;

    /// Reads a key of the default key-value store.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>>;

    /// Writes a key of the default key-value store.
    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<(), String>>;

    /// Publishes on a Redis channel.
    fn publish<'a>(&'a self, address: &'a str, channel: &'a str, payload: Vec<u8>)
    -> BoxFuture<'a, Result<(), String>>;

    /// A variable of the component; `None` when the manifest has none of that name.
    fn variable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>>;

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// How long a statement tries to get the write lock before the request is answered with 503.
    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }

    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Variables that were read a moment ago: a request reads several, and each costs a call to the host.
#[derive(Default)]
pub struct Variables(Mutex<BTreeMap<String, (Instant, Option<String>)>>);

impl Variables {
    /// How long a variable counts as read. A changed one, such as a rotated secret, is seen after that.
    const KEPT: Duration = Duration::from_millis(250);

    /// The variable, if it was read a moment before this.
    pub fn get(&self, name: &str, now: Instant) -> Option<Option<String>> {
        let kept = self.0.lock().ok()?;
        let (read, value) = kept.get(name)?;
        (now.saturating_duration_since(*read) < Self::KEPT).then(|| value.clone())
    }

    /// It was read.
    pub fn keep(&self, name: &str, value: Option<String>, now: Instant) {
        if let Ok(mut kept) = self.0.lock() {
            kept.insert(name.to_owned(), (now, value));
        }
    }
}

/// A variable that is a number; `default` when it is missing or is none.
pub async fn number(platform: &dyn Platform, name: &str, default: u64) -> u64 {
    let text = platform.variable(name).await;
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(default)
}

/// From this long before now to this long after. What has waited for longer is dated before it; after it stands what was written
/// before the clock was set back.
pub fn around_now(platform: &dyn Platform, span: Duration) -> RangeInclusive<String> {
    let (now, span) = (unix_ms(platform.now()), i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
    timestamp_of(now.saturating_sub(span))..=timestamp_of(now.saturating_add(span))
}

/// Waits for something, but not for longer than this; `None` then, and it is given up.
pub async fn within<T>(platform: &dyn Platform, patience: Duration, what: impl Future<Output = T>) -> Option<T> {
    match select(pin!(what), platform.sleep(patience)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// A time in ms since 1970, where it is compared and not shown.
pub fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time as it stands in events, rows and answers: RFC 3339 in UTC, to the millisecond.
pub fn timestamp(time: SystemTime) -> String {
    timestamp_of(unix_ms(time))
}

/// The same of a time in milliseconds since 1970. What lies outside the years that it can say, 1970 to 9999, is the nearest of
/// them.
pub fn timestamp_of(unix_ms: i64) -> String {
    const LAST_MS: i64 = 253_402_300_799_999;
    let since = Duration::from_millis(unix_ms.clamp(0, LAST_MS).unsigned_abs());
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn a_variable_is_kept_for_a_moment() {
        let (variables, now) = (Variables::default(), Instant::now());
        assert_eq!(variables.get("bell", now), None);
        variables.keep("bell", Some("http".into()), now);
        assert_eq!(variables.get("bell", now + Duration::from_millis(249)), Some(Some("http".into())));
        assert_eq!(variables.get("bell", now + Duration::from_millis(250)), None);
    }

    #[test]
    fn a_timestamp_is_rfc_3339_whatever_the_time() {
        assert_eq!(timestamp_of(1_000), "1970-01-01T00:00:01.000Z");
        assert_eq!(timestamp_of(i64::MIN), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp_of(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), timestamp_of(0));
    }

    #[test]
    fn sqlite_is_taken_at_its_exact_words() {
        let kind = |message: &str| PlatformError::of_sqlite(message.into());
        assert!(matches!(kind("database is locked"), PlatformError::Busy(_)));
        assert!(matches!(kind("vtable constructor failed: product_trigram"), PlatformError::Busy(_)));
        assert!(matches!(kind("database or disk is full"), PlatformError::Unavailable(_)));
        for host in [
            "too many connections opened",
            "internal runtime error",
            "a statement on this connection still has rows nobody read (SELECT event, 9 rows); collect them first",
        ] {
            assert!(matches!(kind(host), PlatformError::Unavailable(_)), "{host}: no fault of the statement");
        }
        assert!(matches!(kind("no such table: main.order_dead_letter"), PlatformError::Schema(_)));
        assert!(matches!(kind("CHECK constraint failed: is_full"), PlatformError::Failed(_)));
    }
}
