//! The log and the contexts, as the journal has them.

use crate::contexts::Contexts;
use kernel::{Error, Log, platform::Platform};
use std::sync::{Arc, Mutex};

/// What the routes work on.
pub struct Journal {
    /// The world around it.
    pub platform: Arc<dyn Platform>,
    pub contexts: Contexts,
    log: Mutex<Option<Arc<Log>>>,
}

impl Journal {
    /// In this world, with the contexts that the deployment names.
    pub async fn new(platform: Arc<dyn Platform>) -> Self {
        Self { contexts: Contexts::find(platform.clone()).await, platform, log: Mutex::default() }
    }

    /// The log, opened when it is first needed: liveness does not depend on it.
    ///
    /// # Errors
    /// When it cannot be opened; the next one who needs it tries again.
    pub async fn log(&self) -> Result<Arc<Log>, Error> {
        if let Some(log) = self.log.lock().ok().and_then(|log| log.clone()) {
            return Ok(log);
        }
        let log = Arc::new(Log::open(self.platform.clone()).await?);
        if let Ok(mut kept) = self.log.lock() {
            *kept = Some(log.clone());
        }
        Ok(log)
    }
}
