//! The contexts, as the journal reaches them: by service chaining, or at their addresses where they are deployed apart.

use axum::body::Bytes;
use futures::future::join_all;
use kernel::{
    Position,
    gate::Gate,
    http::{BELL, CATCH_UP},
    log_line::{self, Level},
    platform::Platform,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The contexts, and the variables that say where they are. A context that was removed has none.
const CONTEXTS: [(&str, &str); 6] = [
    ("product", "product_url"),
    ("order", "order_url"),
    ("payment", "payment_url"),
    ("delivery", "delivery_url"),
    ("marketing", "marketing_url"),
    ("customer-center", "customer_center_url"),
];

/// All contexts of the shop.
pub struct Contexts {
    platform: Arc<dyn Platform>,
    urls: Vec<(&'static str, String)>,
    due: AtomicBool,
    ringing: Gate,
}

impl Contexts {
    /// Finds out where they are.
    pub async fn find(platform: Arc<dyn Platform>) -> Self {
        let mut urls = Vec::new();
        for (name, variable) in CONTEXTS {
            urls.extend(platform.variable(variable).await.map(|url| (name, url)));
        }
        Self { platform, urls, due: AtomicBool::new(false), ringing: Gate::default() }
    }

    /// Tells all of them that there is something new in the log. Bells that come while one rings are merged into the
    /// next.
    pub async fn ring(&self) {
        self.due.store(true, Ordering::SeqCst);
        let Some(_ringing) = self.ringing.try_pass() else { return };
        while self.due.swap(false, Ordering::SeqCst) {
            for (name, answer) in self.ask(BELL).await {
                if let Err(error) = answer {
                    log_line::write(
                        Level::Warn,
                        "journal",
                        "a bell was not heard",
                        json!({"by": name, "error": error}),
                    );
                }
            }
        }
    }

    /// Makes all of them catch up, each with where it stands then.
    pub async fn catch_up(&self) -> BTreeMap<&'static str, Result<Position, String>> {
        let read = |answer: Bytes| serde_json::from_slice(&answer).map_err(|error| error.to_string());
        let answers = self.ask(CATCH_UP).await;
        answers.into_iter().map(|(name, answer)| (name, answer.and_then(read))).collect()
    }

    async fn ask(&self, path: &str) -> Vec<(&'static str, Result<Bytes, String>)> {
        let asked = self.urls.iter().map(async |(name, url)| (*name, self.post(&format!("{url}{path}")).await));
        join_all(asked).await
    }

    async fn post(&self, url: &str) -> Result<Bytes, String> {
        let request = ::http::Request::post(url).body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = self.platform.send(request).await?;
        if answer.status().is_success() { Ok(answer.into_body()) } else { Err(format!("it said {}", answer.status())) }
    }
}
