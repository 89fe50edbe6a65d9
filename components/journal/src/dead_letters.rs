//! The dead letters of all contexts in one list. Each context keeps its own; the journal passes on what is wanted of them.

use crate::{contexts::Contexts, http::sequence, journal::Journal};
use ::http::Method;
use axum::{
    body::Bytes,
    extract::{Path, State},
};
use kernel::{
    dead_letter::Status,
    http::{Answer, DEAD_LETTERS, NoMembers, OptionalBody, Page, Problem, Query},
};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// `GET /dead-letters`: context by context, each in the order of the log.
pub async fn list(State(journal): State<Arc<Journal>>, query: Query) -> Result<Answer, Problem> {
    let contexts = &journal.contexts;
    let listing = query.listing_after(&["context", "status"], "the id of a dead letter", |id| {
        parse(contexts, id).map(|(context, sequence)| (context.to_owned(), sequence))
    })?;
    let wanted = listing.filter("context");
    if wanted.is_some_and(|wanted| contexts.names().all(|name| name != wanted)) {
        let names: Vec<_> = contexts.names().collect();
        return Err(Problem::invalid_field("context", format!("must be one of {}", names.join(", "))));
    }
    let status = listing.filter("status");
    if status.is_some_and(|status| serde_json::from_value::<Status>(json!(status)).is_err()) {
        let message = "must be retrying, dead, waiting, resolved or discarded";
        return Err(Problem::invalid_field("status", message));
    }
    let (first, mut after) = listing.after.as_ref().map(|(context, sequence)| (context.as_str(), *sequence)).unzip();
    // One more than is shown tells whether there is a next page.
    let limit = listing.limit.saturating_add(1);
    let mut letters: Vec<Json> = Vec::new();
    for name in contexts.names().skip_while(|name| first.is_some_and(|first| first != *name)) {
        let after = after.take().unwrap_or(0);
        if letters.len() >= limit || wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let status = status.map(|status| format!("&status={status}")).unwrap_or_default();
        let path = format!("{DEAD_LETTERS}?after={after}&limit={}{status}", limit - letters.len());
        let answer = contexts.ask_one(name, Method::GET, &path, None).await;
        let answer = answer.and_then(Result::ok).filter(|answer| answer.status().is_success());
        let answer = answer.ok_or_else(|| unavailable(name))?;
        letters.extend(serde_json::from_slice::<Vec<Json>>(answer.body()).map_err(|_| unavailable(name))?);
    }
    let id = |letter: &Json| letter.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    Ok(Answer::ok(Page::new(letters, &listing, id)))
}

/// `POST /dead-letters/{id}/retry`.
pub async fn retry(
    State(journal): State<Arc<Journal>>,
    Path(id): Path<String>,
    OptionalBody(NoMembers {}): OptionalBody<NoMembers>,
) -> Result<Answer, Problem> {
    pass_on(&journal.contexts, &id, "retry", Bytes::new()).await
}

/// `POST /dead-letters/{id}/discard`, with a reason.
pub async fn discard(
    State(journal): State<Arc<Journal>>,
    Path(id): Path<String>,
    OptionalBody(body): OptionalBody<Map<String, Json>>,
) -> Result<Answer, Problem> {
    // What has to be in it, the context knows.
    pass_on(&journal.contexts, &id, "discard", Json::Object(body).to_string().into()).await
}

/// Has the context do it that the letter belongs to, and answers what that answers.
async fn pass_on(contexts: &Contexts, id: &str, what: &str, body: Bytes) -> Result<Answer, Problem> {
    let (context, sequence) = parse(contexts, id).ok_or_else(|| Problem::not_found("There is no such dead letter."))?;
    let path = format!("{DEAD_LETTERS}/{sequence}/{what}");
    match contexts.ask_one(context, Method::POST, &path, Some(body)).await {
        Some(Ok(answer)) => Ok(Answer::relayed(&answer)),
        Some(Err(_)) | None => Err(unavailable(context)),
    }
}

/// Context and sequence number out of an id such as `product-17`.
fn parse<'a>(contexts: &'a Contexts, id: &str) -> Option<(&'a str, i64)> {
    let (context, number) = id.rsplit_once('-')?;
    let context = contexts.names().find(|name| *name == context)?;
    Some((context, sequence(number)?))
}

fn unavailable(context: &str) -> Problem {
    Problem::unavailable("context-unavailable", format!("{context} gives no answer. Try again."), 1)
}
