//! The doorbell: tells the contexts that care that there is something new in the log.
//!
//! It only says "look". A bell that is lost loses nothing, and bells that come while one rings are merged into the next.

use crate::{
    gate::Gate,
    log,
    log_line::{self, Level},
    platform::Platform,
};
use axum::body::Bytes;
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Where the bell rings.
enum Wire {
    /// On the Redis channel `mealkit.<context>`.
    Redis { address: String },
    /// At the journal, which calls the contexts by service chaining.
    Http { journal: String },
}

/// A context's doorbell.
pub struct Bell {
    context: &'static str,
    platform: Arc<dyn Platform>,
    wire: Wire,
    wanted: AtomicBool,
    ringing: Gate,
}

impl Bell {
    pub(crate) async fn new(context: &'static str, platform: Arc<dyn Platform>) -> Self {
        let variable = async |name: &str, default: &str| platform.variable(name).await.unwrap_or(default.to_owned());
        let wire = match variable("bell", "redis").await.as_str() {
            "http" => Wire::Http { journal: variable("journal_url", "http://journal.spin.internal").await },
            _ => Wire::Redis { address: variable("redis_address", "redis://127.0.0.1:6379").await },
        };
        Self { context, wire, wanted: AtomicBool::new(false), ringing: Gate::default(), platform }
    }

    /// There is something new in the log.
    pub(crate) fn wanted(&self) {
        self.wanted.store(true, Ordering::SeqCst);
    }

    /// Whether there is anything to ring for that nobody rings for yet.
    pub fn is_due(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) && !self.ringing.is_taken()
    }

    /// Rings until there is nothing to ring for.
    pub async fn ring(&self) {
        let Some(_ringing) = self.ringing.try_pass() else { return };
        while self.wanted.swap(false, Ordering::SeqCst) {
            if let Err(error) = self.ring_once().await {
                log_line::write(Level::Warn, self.context, "the bell did not ring", json!({"error": error}));
                return;
            }
        }
    }

    async fn ring_once(&self) -> Result<(), String> {
        let sequence = log::head(&*self.platform).await.map_err(|error| error.to_string())?;
        let bell = json!({"source": format!("/mealkit/{}", self.context), "sequence": sequence}).to_string();
        match &self.wire {
            Wire::Redis { address } => {
                let channel = format!("mealkit.{}", self.context);
                self.platform.publish(address, &channel, bell.into_bytes()).await
            }
            Wire::Http { journal } => {
                let request = http::Request::post(format!("{journal}/bell"))
                    .header("content-type", "application/json")
                    .body(Bytes::from(bell))
                    .map_err(|error| error.to_string())?;
                let answer = self.platform.send(request).await?;
                if answer.status().is_success() { Ok(()) } else { Err(format!("the journal said {}", answer.status())) }
            }
        }
    }
}
