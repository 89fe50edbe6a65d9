//! Problems: every error is `application/problem+json` (RFC 9457).

use super::Answer;
use crate::{
    error::{Error, Failure},
    platform::PlatformError,
};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Display;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub field: String,
    /// What it should be.
    pub message: String,
}

/// A problem as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
    about: Option<String>,
    challenge: Option<String>,
    cause: Option<String>,
    extensions: Vec<(&'static str, Value)>,
}

impl Problem {
    /// A problem of this status; `kind` names it in its `type`, `detail` says what to do.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            kind,
            detail: detail.into(),
            errors: vec![],
            retry_after: None,
            about: None,
            challenge: None,
            cause: None,
            extensions: vec![],
        }))
    }

    /// 400: the request is not of the form that it should have.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 409: not in the state that it is in.
    pub fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail)
    }

    /// 412: not as the request says that it must be.
    pub fn stale(how: impl Display) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "stale", format!("{how} Read it again and decide anew."))
    }

    /// 422: understood, but against the rules.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = "Some fields are not as they should be; see `errors`.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).with_errors(errors)
    }

    /// 422 for one field.
    pub fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// 503: come back in so many seconds.
    pub fn unavailable(kind: &'static str, detail: impl Into<String>, retry_after: u64) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail);
        problem.0.retry_after = Some(retry_after);
        problem
    }

    /// To come back in so many seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// With the fields that are wrong.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// With a member of its own (RFC 9457, section 3.2).
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.extensions.push((name, value.into()));
        self
    }

    pub fn about(mut self, order_id: &str) -> Self {
        self.0.about = Some(order_id.to_owned());
        self
    }

    /// With what whoever asks has to show (RFC 9110, section 11.6.1).
    pub(super) fn challenging(mut self, challenge: String) -> Self {
        self.0.challenge = Some(challenge);
        self
    }

    /// Caused by this. The client is not told; it stands in the request's log line.
    pub fn caused_by(mut self, cause: impl Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub fn answer(self) -> Answer {
        let Parts { status, kind, detail, errors, retry_after, about, challenge, cause, extensions } = *self.0;
        let mut body = json!({
            "type": format!("/problems/{kind}"),
            "title": status.canonical_reason().unwrap_or("Problem"),
            "status": status.as_u16(),
            "detail": detail,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(extensions.into_iter().map(|(name, value)| (name.to_owned(), value)));
            if !errors.is_empty() {
                body.insert("errors".into(), json!(errors));
            }
        }
        let answer = Answer::problem(status, body, retry_after, cause).challenging(challenge);
        match about {
            Some(order_id) => answer.about(&order_id),
            None => answer,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.answer().into_response()
    }
}

/// The client learns that it failed and whether to come back; the log line tells why.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let cause = error.to_string();
        let problem = match error {
            Error::Contended
            | Error::Database(PlatformError::Busy(_) | PlatformError::Unavailable(_) | PlatformError::Schema(_)) => {
                Self::unavailable(
                    "busy",
                    "The shop is too busy at the moment. Try again; with the same Idempotency-Key nothing happens twice.",
                    1,
                )
            }
            Error::Delayed(_) => Self::unavailable(
                "delayed",
                "Something that happened to it could not be worked off yet, so nothing is decided about it. Try again later.",
                30,
            ),
            Error::Archived { to } => Self::conflict(
                "archived",
                format!("The log is archived up to event {to}, which has to be read for this. Restore it first."),
            ),
            Error::NewerSchema { .. } | Error::OlderSchema { .. } => {
                Self::unavailable("outdated", "This part of the shop is being replaced. Try again.", 5)
            }
            Error::Database(PlatformError::Failed(_)) | Error::Data(_) | Error::Missing(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
            }
        };
        problem.caused_by(cause)
    }
}

impl<R: Into<Problem>> From<Failure<R>> for Problem {
    fn from(failure: Failure<R>) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Stale { actual: Some(actual) } => Self::stale(format!("It has version {actual} by now.")),
            Failure::Stale { actual: None } => Self::stale("It has no ETag."),
            Failure::KeyTaken => {
                Self::conflict("key-in-use", "Another request with this Idempotency-Key is being worked on. Try again.")
            }
            Failure::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "This Idempotency-Key came with another body before. Use a new key for a new request.",
            ),
            Failure::Failed(error) => error.into(),
        }
    }
}
