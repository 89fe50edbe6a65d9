//! Idempotency keys: the same key with the same body gets the same answer, and has one effect.
//!
//! The key is written in the unit of work of what it makes, and looked up only when that was refused: a key that is new,
//! as nearly all are, costs no statement of its own. What was made, and became of it, stands in the log, so the answer to
//! a repeated request is told from there again.

use crate::{
    Context, Executed, Kernel, Trace,
    context::sql_name,
    error::{Error, Failure},
    platform::Value,
    unit,
};
use serde::Serialize;

/// A request that creates something, on its way.
#[derive(Clone, Debug)]
pub struct Attempt {
    key: String,
    request: String,
    subject: String,
    replaces: Option<String>,
}

/// What came of a request that creates something.
#[derive(Debug)]
pub enum Created<S> {
    /// It made this.
    Now(Executed<S>),
    /// An earlier request with its key made the thing with this id.
    Before(String),
}

impl Attempt {
    /// A request that came with this key, to make what has this id; `request` is its body as it was understood, without
    /// secrets. The same key of another actor is another key.
    ///
    /// # Errors
    /// When the request cannot be written as JSON.
    pub fn new(trace: &Trace, key: &str, request: &impl Serialize, subject: impl Into<String>) -> Result<Self, Error> {
        let request = serde_json::to_string(request)?;
        let key = trace.actor.id().map_or_else(|| key.to_owned(), |id| format!("{id}/{key}"));
        Ok(Self { key, request, subject: subject.into(), replaces: None })
    }

    /// Another go, because what an earlier one made came to nothing.
    pub fn instead_of(self, earlier: Option<String>) -> Self {
        Self { replaces: earlier, ..self }
    }

    /// The key as the unit of work takes it.
    pub(crate) fn key(&self) -> unit::Key {
        let Self { key, request, subject, replaces } = self.clone();
        unit::Key { key, request, subject, replaces }
    }
}

impl<C: Context> Kernel<C> {
    /// Carries out a command that creates something, unless an earlier request with the attempt's key did. The conditions of
    /// the trace are about the list that it joins, which has no ETag.
    ///
    /// # Errors
    /// [`Failure::KeyReused`] when that one had another body; else those of a command.
    pub async fn create(
        &self,
        command: C::Command,
        trace: &Trace,
        attempt: Option<&Attempt>,
    ) -> Result<Created<C::State>, Failure<C::Refusal>> {
        if !trace.conditions.allow_change(None) {
            return Err(Failure::Stale { actual: None });
        }
        let Some(attempt) = attempt else { return Ok(Created::Now(self.execute(command, trace).await?)) };
        match self.execute(command, trace).once(attempt).await {
            Ok(executed) => Ok(Created::Now(executed)),
            // What is refused now may have been done when the key was new.
            Err(failure @ (Failure::KeyTaken | Failure::Refused(_))) => match self.used(attempt).await? {
                Some((request, _)) if request != attempt.request => Err(Failure::KeyReused),
                Some((_, subject)) if Some(&subject) != attempt.replaces.as_ref() => Ok(Created::Before(subject)),
                _ => Err(failure),
            },
            Err(failure) => Err(failure),
        }
    }

    /// What an earlier request with the attempt's key made, if there was one.
    ///
    /// # Errors
    /// [`Failure::KeyReused`] when that one had another body.
    pub async fn made_before(&self, attempt: &Attempt) -> Result<Option<String>, Failure<C::Refusal>> {
        match self.used(attempt).await? {
            Some((request, _)) if request != attempt.request => Err(Failure::KeyReused),
            used => Ok(used.map(|(_, subject)| subject)),
        }
    }

    /// What the attempt's key was used for: the request, and the id of what it made.
    async fn used(&self, attempt: &Attempt) -> Result<Option<(String, String)>, Error> {
        let sql = format!("SELECT request, subject FROM {}_idempotency WHERE key = ?", sql_name(C::NAME));
        let rows = self.query(&sql, vec![attempt.key.as_str().into()]).await?;
        let text = |row: &[Value], index: usize| row.get(index).and_then(Value::text).map(str::to_owned);
        Ok(rows.first().and_then(|row| Some((text(row, 0)?, text(row, 1)?))))
    }

    /// Whether another request with the attempt's key came first.
    pub(crate) async fn is_taken(&self, attempt: &Attempt) -> Result<bool, Error> {
        let used = self.used(attempt).await?;
        Ok(used.is_some_and(|(_, subject)| Some(subject) != attempt.replaces))
    }
}
