//! The contexts, as the journal reaches them: by service chaining, or at their addresses where they are deployed apart.

use ::http::{Method, Request, Response};
use axum::body::Bytes;
use futures::future::join_all;
use kernel::{
    Position,
    bell::Ring,
    call::Keys,
    gate::Gate,
    http::{BELL, CATCH_UP, METRICS, READY, SETTLE},
    log_line::{self, Level},
    metrics::Sample,
    platform::{self, Platform},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The variable that names the contexts: a line for each, `name = url` (`spin.toml`).
const CONTEXTS: &str = "contexts";

/// All contexts of the shop.
pub struct Contexts {
    platform: Arc<dyn Platform>,
    keys: Arc<Keys>,
    urls: Vec<(String, String)>,
    due: Mutex<Option<Ring>>,
    ringing: Gate,
}

impl Contexts {
    /// Finds out where they are.
    pub async fn find(platform: Arc<dyn Platform>) -> Self {
        let named = platform.variable(CONTEXTS).await.unwrap_or_default();
        let urls = named.lines().filter_map(|line| line.split_once('='));
        let urls = urls.map(|(name, url)| (name.trim().to_owned(), url.trim().to_owned())).collect();
        let keys = Keys::new("journal", platform.clone());
        Self { platform, keys, urls, due: Mutex::default(), ringing: Gate::default() }
    }

    /// Tells all of them that there is something new in the log, and of which types. Bells that come while one rings are
    /// merged into the next.
    pub async fn ring(&self, ring: Ring) {
        if let Ok(mut due) = self.due.lock() {
            *due = Some(due.take().map_or(ring.clone(), |earlier| earlier.merge(ring)));
        }
        let Some(_ringing) = self.ringing.try_pass() else { return };
        while let Some(ring) = self.due.lock().ok().and_then(|mut due| due.take()) {
            let ring = Bytes::from(serde_json::to_vec(&ring).unwrap_or_default());
            for (name, answer) in self.ask::<IgnoredAny>(Method::POST, BELL, ring).await {
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

    /// Makes all of them settle what is left open; says who could not.
    pub async fn settle(&self) -> Vec<(&str, String)> {
        let settled = self.ask::<IgnoredAny>(Method::POST, SETTLE, Bytes::new()).await;
        settled.into_iter().filter_map(|(name, answer)| Some((name, answer.err()?))).collect()
    }

    /// Makes all of them catch up, each with where it stands then.
    pub async fn catch_up(&self) -> BTreeMap<&str, Result<Position, String>> {
        self.ask(Method::POST, CATCH_UP, Bytes::new()).await.into_iter().collect()
    }

    /// The figures of all of them.
    pub async fn samples(&self) -> Vec<(&str, Result<Vec<Sample>, String>)> {
        self.ask(Method::GET, METRICS, Bytes::new()).await
    }

    /// Whether each of them can work; one that does not answer within this time cannot.
    pub async fn ready(&self, patience: Duration) -> Vec<(&str, Result<(), String>)> {
        let asked = self.urls.iter().map(async |(name, url)| {
            let url = format!("{url}{READY}");
            let answer = platform::within(&*self.platform, patience, self.send(Method::GET, &url, None)).await;
            let answer = answer.unwrap_or_else(|| Err("it does not answer".into()));
            (name.as_str(), answer.and_then(|answer| success(&answer)))
        });
        join_all(asked).await
    }

    /// Their names, in the order in which lists have them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.urls.iter().map(|(name, _)| name.as_str())
    }

    /// Asks one of them; `None` when there is no such context.
    pub async fn ask_one(
        &self,
        context: &str,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Option<Result<Response<Bytes>, String>> {
        let (_, url) = self.urls.iter().find(|(name, _)| name == context)?;
        Some(self.send(method, &format!("{url}{path}"), body).await)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Vec<(&str, Result<T, String>)> {
        let asked = self.urls.iter().map(async |(name, url)| {
            let answer = self.send(method.clone(), &format!("{url}{path}"), Some(body.clone())).await;
            let read = |answer: Response<Bytes>| {
                success(&answer)?;
                serde_json::from_slice(answer.body()).map_err(|error| error.to_string())
            };
            (name.as_str(), answer.and_then(read))
        });
        join_all(asked).await
    }

    async fn send(&self, method: Method, url: &str, body: Option<Bytes>) -> Result<Response<Bytes>, String> {
        let request = Request::builder().method(method).uri(url).header("content-type", "application/json");
        let request = request.body(body.unwrap_or_default()).map_err(|error| error.to_string())?;
        self.keys.send(request).await
    }
}

fn success(answer: &Response<Bytes>) -> Result<(), String> {
    if answer.status().is_success() { Ok(()) } else { Err(format!("it said {}", answer.status())) }
}
