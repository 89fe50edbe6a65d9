//! Statements with patience: SQLite has one writer at a time, and whoever comes second tries again.

use crate::platform::{Platform, PlatformError, Row, Value};
use std::time::{Duration, Instant};

/// Runs one statement; waits for the lock, without blocking the other requests of the instance.
///
/// # Errors
/// [`PlatformError`]; a locked database only when the platform has lost its patience.
pub async fn query(platform: &dyn Platform, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, PlatformError> {
    let mut patience = Patience::new(platform);
    loop {
        match platform.query(sql, parameters.clone()).await {
            Ok(rows) => return Ok(rows),
            Err(error) => patience.after(error).await?,
        }
    }
}

/// How long a statement is tried again.
///
/// SQLite's own busy handler sleeps up to 100 ms in a blocking thread; so it may do that for some milliseconds only, and
/// the rest of the waiting is done here, with jitter (docs/decisions/0003-busy-timeout-zero.md).
pub(crate) struct Patience<'a> {
    platform: &'a dyn Platform,
    began: Instant,
    pause: Duration,
    renewed: bool,
}

impl<'a> Patience<'a> {
    #[expect(clippy::disallowed_methods, reason = "how long was waited, whatever the shop's clock says")]
    pub(crate) fn new(platform: &'a dyn Platform) -> Self {
        Self { platform, began: Instant::now(), pause: Duration::from_micros(150), renewed: false }
    }

    /// Waits until it is time to try again.
    ///
    /// # Errors
    /// When that would not help, or has been tried for long enough.
    pub(crate) async fn after(&mut self, error: PlatformError) -> Result<(), PlatformError> {
        match error {
            PlatformError::Busy(_) if self.began.elapsed() <= self.platform.patience() => {
                self.platform.sleep(jitter(self.pause)).await;
                self.pause = (self.pause * 2).min(Duration::from_millis(5));
                Ok(())
            }
            // The platform has let go of the connection: on a fresh one the statement sees the schema as it is.
            PlatformError::Schema(_) if !self.renewed => {
                self.renewed = true;
                Ok(())
            }
            error => Err(error),
        }
    }
}

/// Between half of the pause and all of it.
pub fn jitter(pause: Duration) -> Duration {
    let random = uuid::Uuid::now_v7().as_u128() as u32;
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
