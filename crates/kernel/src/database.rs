//! Statements with patience: SQLite has one writer at a time, and whoever comes second tries again.

use crate::platform::{Platform, Row, Value};
use std::time::{Duration, Instant};

/// Why a statement failed. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// Somebody else held the lock for too long, the disk is full, or the file cannot be written: try again later.
    #[error("the database cannot be written at the moment: {0}")]
    Unavailable(String),
    /// Anything else.
    #[error("the database refused a statement: {0}")]
    Failed(String),
}

/// Runs one statement; waits for the lock, without blocking the other requests of the instance.
///
/// SQLite's own busy handler sleeps up to 100 ms in a blocking thread and is what limits the write rate; hence
/// `busy_timeout = 0` on the connection and the retry here, with jitter (measured in `docs/decisions/`).
///
/// # Errors
/// [`DatabaseError`]; a locked database only when the platform has lost its patience.
pub async fn query(platform: &dyn Platform, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
    let began = Instant::now();
    let mut pause = Duration::from_micros(150);
    loop {
        let message = match platform.query(sql, parameters.clone()).await {
            Ok(rows) => return Ok(rows),
            Err(message) => message,
        };
        if !message.contains("locked") && !message.contains("busy") {
            return Err(classify(message));
        }
        if began.elapsed() > platform.patience() {
            return Err(DatabaseError::Unavailable(message));
        }
        platform.sleep(jitter(pause)).await;
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Between half of the pause and all of it.
pub fn jitter(pause: Duration) -> Duration {
    let random = uuid::Uuid::now_v7().as_u128() as u32;
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

fn classify(message: String) -> DatabaseError {
    const UNAVAILABLE: [&str; 7] = [
        "full",
        "readonly",
        "disk I/O error",
        "unable to open",
        // A libSQL server that is away, has no connection left, or has given this one up.
        "http error",
        "Timed out while opening",
        "STREAM_EXPIRED",
    ];
    if UNAVAILABLE.iter().any(|sign| message.contains(sign)) {
        DatabaseError::Unavailable(message)
    } else {
        DatabaseError::Failed(message)
    }
}
