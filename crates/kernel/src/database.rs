//! Statements with patience: SQLite has one writer at a time, and whoever comes second tries again.

use crate::platform::{Platform, PlatformError, Row, Value};
use std::time::{Duration, Instant};

/// Runs one statement; waits for the lock, without blocking the other requests of the instance.
///
/// SQLite's own busy handler sleeps up to 100 ms in a blocking thread and is what limits the write rate; hence a short
/// `busy_timeout` on the connection and the retry here, with jitter (docs/decisions/0003).
///
/// # Errors
/// [`PlatformError`]; [`PlatformError::Busy`] only when the platform has lost its patience.
pub async fn query(platform: &dyn Platform, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, PlatformError> {
    let began = Instant::now();
    let mut pause = Duration::from_micros(150);
    let mut renewed = false;
    loop {
        match platform.query(sql, parameters.clone()).await {
            Err(PlatformError::Busy(_)) if began.elapsed() <= platform.patience() => {
                platform.sleep(jitter(pause)).await;
                pause = (pause * 2).min(Duration::from_millis(5));
            }
            // The platform has let go of the connection: on a fresh one the statement sees the schema as it is.
            Err(PlatformError::Schema(_)) if !renewed => renewed = true,
            done => return done,
        }
    }
}

/// Between half of the pause and all of it.
pub fn jitter(pause: Duration) -> Duration {
    let random = uuid::Uuid::now_v7().as_u128() as u32;
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
