//! The doorbell: tells the contexts that care that there is something new in the log.
//!
//! It only says "look", and for what. A bell that is lost loses nothing: whoever is asked looks anyway. Bells that come
//! while one rings, or shortly after, are merged into the next.

use crate::{
    gate::Gate,
    log,
    log_line::{self, Level},
    platform::Platform,
};
use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

/// How long the bell is quiet after it rang, while more to ring for piles up. Each ring costs every listener an instance
/// of its own on Spin's Redis trigger.
const QUIET: Duration = Duration::from_millis(50);

/// What a bell says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ring {
    /// Who rings: `/mealkit/<context>`.
    pub source: String,
    /// The newest event's sequence number.
    pub sequence: i64,
    /// The types of what is new. Whoever cares for none of them need not look.
    #[serde(default)]
    pub types: BTreeSet<String>,
}

impl Ring {
    /// Whether a context that consumes these types need look. A ring that does not say for what is for everybody.
    pub fn concerns(&self, consumes: &[&str]) -> bool {
        self.types.is_empty() || consumes.iter().any(|name| self.types.contains(*name))
    }
}

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
    wanted: Mutex<BTreeSet<&'static str>>,
    ringing: Gate,
}

impl Bell {
    pub(crate) async fn new(context: &'static str, platform: Arc<dyn Platform>) -> Self {
        let variable = async |name: &str, default: &str| platform.variable(name).await.unwrap_or(default.to_owned());
        let wire = match variable("bell", "redis").await.as_str() {
            "http" => Wire::Http { journal: variable("journal_url", "http://journal.spin.internal").await },
            _ => Wire::Redis { address: variable("redis_address", "redis://127.0.0.1:6379").await },
        };
        Self { context, wire, wanted: Mutex::default(), ringing: Gate::default(), platform }
    }

    /// There is something new in the log.
    pub(crate) fn wanted(&self, types: impl IntoIterator<Item = &'static str>) {
        if let Ok(mut wanted) = self.wanted.lock() {
            wanted.extend(types);
        }
    }

    /// Whether there is anything to ring for that nobody rings for yet.
    pub fn is_due(&self) -> bool {
        self.wanted.lock().is_ok_and(|wanted| !wanted.is_empty()) && !self.ringing.is_taken()
    }

    /// Rings until there is nothing to ring for.
    pub async fn ring(&self) {
        let Some(_ringing) = self.ringing.try_pass() else { return };
        while self.ring_now().await {
            self.platform.sleep(QUIET).await;
        }
    }

    /// Rings once for all there is to ring for; `false` when there was nothing.
    pub async fn ring_now(&self) -> bool {
        let Some(types) = self.take() else { return false };
        if let Err(error) = self.ring_once(types).await {
            log_line::write(Level::Warn, self.context, "the bell did not ring", json!({"error": error}));
        }
        true
    }

    fn take(&self) -> Option<BTreeSet<&'static str>> {
        let types = std::mem::take(&mut *self.wanted.lock().ok()?);
        (!types.is_empty()).then_some(types)
    }

    async fn ring_once(&self, types: BTreeSet<&'static str>) -> Result<(), String> {
        let sequence = log::head(&*self.platform).await.map_err(|error| error.to_string())?;
        let ring = Ring {
            source: format!("/mealkit/{}", self.context),
            sequence,
            types: types.into_iter().map(str::to_owned).collect(),
        };
        let ring = serde_json::to_vec(&ring).map_err(|error| error.to_string())?;
        match &self.wire {
            Wire::Redis { address } => {
                let channel = format!("mealkit.{}", self.context);
                self.platform.publish(address, &channel, ring).await
            }
            Wire::Http { journal } => {
                let request = http::Request::post(format!("{journal}/bell"))
                    .header("content-type", "application/json")
                    .body(Bytes::from(ring))
                    .map_err(|error| error.to_string())?;
                let answer = self.platform.send(request).await?;
                if answer.status().is_success() { Ok(()) } else { Err(format!("the journal said {}", answer.status())) }
            }
        }
    }
}
