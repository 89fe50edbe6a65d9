//! The routes of every context that only other components reach, by service chaining: no public route leads there.

use super::{Access, Answer, Checks, OptionalBody, Problem, Routes};
use crate::{
    Context, Kernel,
    bell::Ring,
    dead_letter::{Letter, LetterError, Letters, Status},
    platform,
};
use axum::{
    body::Bytes,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// Where the journal makes a context read the log to its very end.
pub const CATCH_UP: &str = "/internal/catch-up";

/// Where the journal makes a context do what time asks for, or what was left open.
pub const SETTLE: &str = "/internal/settle";

/// Where the journal rings when there is no Redis.
pub const BELL: &str = "/internal/bell";

/// Where the journal asks whether a context can work; its tables are migrated by then.
pub const READY: &str = "/internal/ready";

/// Where the journal collects a context's figures.
pub const METRICS: &str = "/internal/metrics";

/// Where the journal finds a context's dead letters, and has one tried again or discarded: `…/{sequence}/retry`,
/// `…/{sequence}/discard`.
pub const DEAD_LETTERS: &str = "/internal/dead-letters";

pub(crate) fn routes<C: Context>(kernel: &Arc<Kernel<C>>) -> Routes {
    Routes::new()
        .post(CATCH_UP, Access::Context, catch_up::<C>)
        .post(SETTLE, Access::Context, settle::<C>)
        .post(BELL, Access::Context, bell::<C>)
        .get(READY, Access::Everybody, async || Answer::ok(json!({})))
        .get(METRICS, Access::Context, metrics::<C>)
        .get(DEAD_LETTERS, Access::Context, letters::<C>)
        .post(&format!("{DEAD_LETTERS}/{{sequence}}/retry"), Access::Context, retry::<C>)
        .post(&format!("{DEAD_LETTERS}/{{sequence}}/discard"), Access::Context, discard::<C>)
        .with_state(kernel.clone())
}

async fn catch_up<C: Context>(State(kernel): State<Arc<Kernel<C>>>) -> Result<Answer, Problem> {
    Ok(Answer::ok(kernel.rest().await?))
}

async fn settle<C: Context>(State(kernel): State<Arc<Kernel<C>>>) -> Result<Answer, Problem> {
    C::settle(&kernel).await?;
    Ok(Answer::ok(json!({})))
}

async fn bell<C: Context>(State(kernel): State<Arc<Kernel<C>>>, ring: Bytes) -> Result<Answer, Problem> {
    if Ring::concerns(&ring, C::CONSUMES) {
        kernel.catch_up().await?;
    }
    Ok(Answer::ok(json!({})))
}

async fn metrics<C: Context>(State(kernel): State<Arc<Kernel<C>>>) -> Result<Answer, Problem> {
    Ok(Answer::ok(kernel.samples().await?))
}

/// A dead letter as operators see it.
#[derive(Serialize)]
struct View {
    id: String,
    context: &'static str,
    sequence: i64,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    status: Status,
    tries: u32,
    error: Option<String>,
    reason: Option<String>,
    waiting: i64,
    next_try_at: Option<String>,
    created_at: Option<String>,
    updated_at: String,
}

impl View {
    fn of<C: Context>(letter: Letter) -> Self {
        Self {
            id: format!("{}-{}", C::NAME, letter.seq),
            context: C::NAME,
            sequence: letter.seq,
            event_type: letter.event_type,
            subject: letter.subject,
            status: letter.status,
            tries: letter.tries,
            error: letter.error,
            reason: letter.reason,
            waiting: letter.waiting.unwrap_or_default(),
            next_try_at: letter.due_at.map(platform::timestamp_of),
            created_at: letter.created_at,
            updated_at: letter.at,
        }
    }
}

/// Which dead letters the journal wants.
#[derive(Deserialize)]
struct Wanted {
    status: Option<Status>,
    after: i64,
    limit: usize,
}

async fn letters<C: Context>(
    State(kernel): State<Arc<Kernel<C>>>,
    Query(Wanted { status, after, limit }): Query<Wanted>,
) -> Result<Answer, Problem> {
    let letters = kernel.letters(&Letters { status, after, limit }).await?;
    Ok(Answer::ok(letters.into_iter().map(View::of::<C>).collect::<Vec<_>>()))
}

async fn retry<C: Context>(State(kernel): State<Arc<Kernel<C>>>, Path(sequence): Path<i64>) -> Result<Answer, Problem> {
    Ok(Answer::ok(View::of::<C>(kernel.retry(sequence).await?)))
}

/// Why a letter is discarded.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Discarding {
    reason: Option<String>,
}

async fn discard<C: Context>(
    State(kernel): State<Arc<Kernel<C>>>,
    Path(sequence): Path<i64>,
    OptionalBody(discarding): OptionalBody<Discarding>,
) -> Result<Answer, Problem> {
    let reason = discarding.reason.unwrap_or_default();
    let mut checks = Checks::default();
    checks.text("reason", &reason, 1..=500);
    checks.done()?;
    Ok(Answer::ok(View::of::<C>(kernel.discard(sequence, &reason).await?)))
}

impl From<LetterError> for Problem {
    fn from(error: LetterError) -> Self {
        match error {
            LetterError::Unknown => Self::not_found("There is no such dead letter."),
            LetterError::Closed => Self::conflict("letter-closed", "The dead letter is closed already."),
            LetterError::Waiting => Self::conflict(
                "letter-waiting",
                "It waits behind an earlier event about the same order, which has to be resolved or discarded first.",
            ),
            LetterError::Failed(error) => error.into(),
        }
    }
}
