//! Routes -> queries and bells.

use crate::{dead_letters, events::CloudEvent, health, journal::Journal, metrics};
use ::http::StatusCode;
use axum::{body::Bytes, extract::State};
use kernel::{
    Error,
    http::{Access, Answer, Page, Problem, Query, Routes},
    platform::Platform,
};
use serde_json::{Map, json};
use std::sync::Arc;

/// How often `/catch-up` goes round: what one context appends, another has to hear.
const ROUNDS: usize = 20;

pub async fn routes(platform: Arc<dyn Platform>) -> Routes {
    let journal = Journal::new(platform).await;
    Routes::new()
        .get("/", Access::Everybody, index)
        .get("/events", Access::Scope("events"), events)
        .post("/catch-up", Access::Scope("catch-up"), catch_up)
        .post("/bell", Access::Context, bell)
        .get("/dead-letters", Access::Scope("dead-letters"), dead_letters::list)
        .post("/dead-letters/{id}/retry", Access::RecentScope("dead-letters"), dead_letters::retry)
        .post("/dead-letters/{id}/discard", Access::RecentScope("dead-letters"), dead_letters::discard)
        .get("/health/live", Access::Everybody, health::live)
        .get("/health/ready", Access::Anybody, health::ready)
        .get("/metrics", Access::Scope("metrics"), metrics::metrics)
        .with_state(Arc::new(journal))
}

/// What there is.
async fn index() -> Answer {
    let routes = ["/products", "/orders", "/payments", "/deliveries", "/mypages", "/notifications", "/events"];
    Answer::ok(json!({"name": "mealkit", "routes": routes})).public()
}

async fn events(State(journal): State<Arc<Journal>>, query: Query) -> Result<Answer, Problem> {
    let listing = query.listing_after(&["order_id"], "a sequence number", sequence)?;
    let after = listing.after.unwrap_or(0);
    let log = journal.log().await?;
    // Without `after` the log begins where it begins; with it, nobody may miss anything.
    let archived_to = log.archived_to().await?;
    if listing.after.is_some() && after < archived_to {
        let detail =
            format!("The events up to {archived_to} are archived. Read them there, and go on from {archived_to}.");
        let gone = Problem::new(StatusCode::GONE, "archived", detail);
        return Err(gone.with("archived_to", archived_to));
    }
    let found = log.events(after, listing.filter("order_id"), listing.limit.saturating_add(1)).await?;
    let events = found.into_iter().map(CloudEvent::try_from).collect::<Result<_, _>>().map_err(Error::from)?;
    Ok(Answer::ok(Page::new(events, &listing, |event: &CloudEvent| event.sequence.to_string())))
}

/// A place in the log, as we write it.
pub fn sequence(text: &str) -> Option<i64> {
    text.parse().ok().filter(|sequence: &i64| *sequence >= 0 && sequence.to_string() == text)
}

async fn bell(State(journal): State<Arc<Journal>>, ring: Bytes) -> Answer {
    // Whatever else comes is a bell, too: for everybody.
    journal.contexts.ring(serde_json::from_slice(&ring).unwrap_or_default()).await;
    Answer::json(StatusCode::ACCEPTED, json!({}))
}

/// Makes every context settle what is left open, and then catch up, until nothing new comes of it.
async fn catch_up(State(journal): State<Arc<Journal>>) -> Result<Answer, Problem> {
    let unsettled = journal.contexts.settle().await;
    let mut contexts = journal.contexts.catch_up().await;
    for _ in 0..ROUNDS {
        let head = journal.log().await?.head().await?;
        if contexts.values().all(|at| at.as_ref().map_or(true, |at| at.lag == 0 && at.cursor == head)) {
            break;
        }
        contexts = journal.contexts.catch_up().await;
    }
    for (name, error) in unsettled {
        contexts.insert(name, Err(error));
    }
    let failed = contexts.values().any(Result::is_err);
    let shown: Map<_, _> = contexts
        .into_iter()
        .map(|(name, at)| (name.to_owned(), at.map_or_else(|error| json!({"error": error}), |at| json!(at))))
        .collect();
    if failed {
        let detail = "Some contexts could not catch up; the others did. Try again.";
        return Err(Problem::unavailable("contexts-unavailable", detail, 1).with("contexts", shown));
    }
    Ok(Answer::ok(json!({"contexts": shown})))
}
