//! Idempotency keys: the same key with the same body gets the same answer, and has one effect.

use crate::{
    Context, Kernel,
    context::sql_name,
    error::Error,
    http::{Answer, Problem},
    platform::Value,
};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value as Json, json};

/// A request that creates something, on its way.
#[derive(Clone, Debug)]
pub struct Attempt {
    key: Option<String>,
    request: String,
    subject: String,
    replaces: Option<String>,
}

/// How a creating request begins.
#[derive(Debug)]
pub enum Begin {
    /// Nobody came with its key before (or it has none).
    New(Attempt),
    /// An earlier request with the key made its subject, but came to no answer: go on from there.
    Started(Attempt),
    /// An earlier request with the key was answered so.
    Answered(Answer),
}

impl Attempt {
    /// The id of what the request makes.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Another go, because what the earlier one made came to nothing.
    pub fn again(self, subject: String) -> Self {
        Self { replaces: Some(self.subject), subject, ..self }
    }

    /// The key as the unit of work takes it.
    pub(crate) fn keys(&self) -> Vec<Json> {
        let key =
            |key| json!({"key": key, "request": self.request, "subject": self.subject, "replaces": self.replaces});
        self.key.as_ref().map(key).into_iter().collect()
    }
}

impl<C: Context> Kernel<C> {
    /// Looks up the key. `request` is the body as it was understood, without secrets; `subject` the id of what would be
    /// made.
    ///
    /// # Errors
    /// 422 when the key came with another body before.
    pub async fn begin(
        &self,
        key: Option<String>,
        request: &impl Serialize,
        subject: String,
    ) -> Result<Begin, Problem> {
        let request = serde_json::to_string(request).map_err(Error::from)?;
        let attempt = Attempt { key, request, subject, replaces: None };
        let Some(key) = &attempt.key else { return Ok(Begin::New(attempt)) };
        let sql = format!("SELECT request, subject, answer FROM {}_idempotency WHERE key = ?", sql_name(C::NAME));
        let rows = self.query(&sql, vec![key.as_str().into()]).await?;
        let Some(row) = rows.first() else { return Ok(Begin::New(attempt)) };
        let text = |index: usize| row.get(index).and_then(Value::text);
        if text(0) != Some(attempt.request.as_str()) {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "This Idempotency-Key came with another body before. Use a new key for a new request.",
            ));
        }
        match text(2) {
            Some(answer) => Ok(Begin::Answered(serde_json::from_str(answer).map_err(Error::from)?)),
            None => {
                let subject = text(1).unwrap_or_default().to_owned();
                Ok(Begin::Started(Attempt { subject, ..attempt }))
            }
        }
    }

    /// Keeps the answer for the next request with the same key. Returns the answer that is kept: of two requests that came
    /// at once, the first one's for both.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn finish(&self, attempt: &Attempt, answer: Answer) -> Result<Answer, Error> {
        let Some(key) = &attempt.key else { return Ok(answer) };
        let sql = format!(
            "UPDATE {}_idempotency SET answer = coalesce(answer, ?) WHERE key = ? AND subject = ? RETURNING answer",
            sql_name(C::NAME)
        );
        let json = serde_json::to_string(&answer)?;
        let rows = self.query(&sql, vec![json.into(), key.as_str().into(), attempt.subject().into()]).await?;
        match rows.first().and_then(|row| row.first()).and_then(Value::text) {
            Some(kept) => Ok(serde_json::from_str(kept)?),
            // Another go at the same key has replaced this one.
            None => Ok(answer),
        }
    }

    /// Whether another request with the attempt's key came first.
    pub(crate) async fn is_taken(&self, attempt: &Attempt) -> Result<bool, Error> {
        let Some(key) = &attempt.key else { return Ok(false) };
        let sql = format!("SELECT subject FROM {}_idempotency WHERE key = ?", sql_name(C::NAME));
        let rows = self.query(&sql, vec![key.as_str().into()]).await?;
        let subject = rows.first().and_then(|row| row.first()).and_then(Value::text);
        Ok(subject.is_some() && subject != attempt.replaces.as_deref())
    }
}
