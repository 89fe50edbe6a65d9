//! What a route answers when all went well, or as it should.

use super::{ETag, only_line};
use axum::{
    body::{Body, Bytes},
    response::IntoResponse,
};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

/// A JSON answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    status: u16,
    content_type: String,
    etag: Option<ETag>,
    location: Option<String>,
    retry_after: Option<u64>,
    challenge: Option<String>,
    correlation_id: Option<String>,
    /// Whether everybody may see it; what is not so is kept by nobody on its way.
    is_public: bool,
    /// JSON.
    body: String,
    /// Why it is a problem: for the log, not for the client.
    cause: Option<String>,
}

impl Answer {
    /// An answer with this body.
    pub fn json(status: StatusCode, body: impl Serialize) -> Self {
        Self {
            status: status.as_u16(),
            content_type: "application/json".into(),
            etag: None,
            location: None,
            retry_after: None,
            challenge: None,
            correlation_id: None,
            is_public: false,
            // Views are plain structs with string keys: they can always be written.
            body: serde_json::to_string(&body).unwrap_or_default(),
            cause: None,
        }
    }

    /// 200 with this body.
    pub fn ok(body: impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// 204: done, and there is nothing to say.
    pub fn done() -> Self {
        Self { body: String::new(), ..Self::json(StatusCode::NO_CONTENT, ()) }
    }

    /// 200 with this text.
    pub fn text(content_type: &str, body: String) -> Self {
        Self { content_type: content_type.into(), body, ..Self::ok(()) }
    }

    /// What another component answered.
    pub fn relayed(response: &Response<Bytes>) -> Self {
        let header = |name| only_line(response.headers(), name).ok()??.to_str().ok();
        Self {
            content_type: header(&header::CONTENT_TYPE).unwrap_or("application/json").to_owned(),
            retry_after: header(&header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok()),
            body: String::from_utf8_lossy(response.body()).into_owned(),
            ..Self::json(response.status(), ())
        }
    }

    pub(super) fn problem(status: StatusCode, body: Value, retry_after: Option<u64>, cause: Option<String>) -> Self {
        Self { content_type: "application/problem+json".into(), retry_after, cause, ..Self::json(status, body) }
    }

    pub(super) fn challenging(self, challenge: Option<String>) -> Self {
        Self { challenge, ..self }
    }

    /// With the resource's version as its `ETag`.
    pub fn version(mut self, version: i64) -> Self {
        self.etag = Some(ETag::of_version(version));
        self
    }

    /// With an `ETag` made of the body, where no version counts all that it shows.
    pub fn etag_of_body(mut self) -> Self {
        self.etag = Some(ETag::of_body(&self.body));
        self
    }

    /// With the `Location` of what was created.
    pub fn location(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    /// For everybody: whoever passes it on may keep it, and asks each time whether it is still so.
    pub fn public(mut self) -> Self {
        self.is_public = true;
        self
    }

    /// About this order: the correlation id of the answer, unless the caller gave one.
    pub fn about(mut self, order_id: &str) -> Self {
        self.correlation_id = Some(order_id.to_owned());
        self
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn etag(&self) -> Option<&ETag> {
        self.etag.as_ref()
    }

    /// 304 in its place: whoever asks has it already.
    pub(super) fn not_modified(self) -> Self {
        Self { status: StatusCode::NOT_MODIFIED.as_u16(), body: String::new(), ..self }
    }

    pub(super) fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The answer on the wire. A problem carries the correlation id in its body, too.
    pub(super) fn write(mut self, correlation_id: &str) -> Response<Body> {
        if self.content_type == "application/problem+json"
            && let Ok(mut body) = serde_json::from_str::<Map<String, Value>>(&self.body)
        {
            body.insert("correlation_id".into(), correlation_id.into());
            self.body = Value::Object(body).to_string();
        }
        let status = self.status();
        // With its length, so that a client sees it when the rest of an answer never comes.
        let length = self.body.len().to_string();
        let has_body = ![StatusCode::NOT_MODIFIED, StatusCode::NO_CONTENT].contains(&status);
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = status;
        let retry_after = self.retry_after.map(|seconds| seconds.to_string());
        let keeping = if self.is_public { "no-cache" } else { "no-store" };
        let headers = [
            (header::CACHE_CONTROL, Some(keeping.to_owned())),
            (header::CONTENT_TYPE, has_body.then_some(self.content_type)),
            (header::ETAG, self.etag.map(|etag| etag.to_string())),
            (header::LOCATION, self.location),
            (header::RETRY_AFTER, retry_after),
            (header::WWW_AUTHENTICATE, self.challenge),
            (header::CONTENT_LENGTH, has_body.then_some(length)),
        ];
        for (name, value) in headers {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The layer around all routes writes it, for it knows the correlation id.
impl IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}
