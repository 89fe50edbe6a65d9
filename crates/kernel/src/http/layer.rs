//! The layer around all routes: correlation in and out, problems for what no route answered, conditions, the size and speed of bodies,
//! and what browsers have to know.

use super::{Answer, BODY_LIMIT, Conditions, INTERNAL, Problem, Routes, browser::Origins, internal, only_line};
use crate::{
    Context, Kernel,
    correlation::{CORRELATION_HEADER, Trace, trace_id},
    identity::Identity,
    log_line::{self, Level},
    platform::{self, Platform},
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tower::ServiceExt;

/// How long a body may take from the head of its request on: it keeps a place of the instance from others.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// A larger body than this is not even read to its end, in bytes.
const DRAIN_LIMIT: usize = 16 * 1024 * 1024;

/// The routes, complete with the answers for what they do not have.
pub(super) fn complete(routes: Router) -> Router {
    routes.fallback(async || Problem::not_found("There is nothing at this address.")).method_not_allowed_fallback(
        async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "See the `Allow` header for what works here.",
            )
        },
    )
}

/// The routes of a context: its own, and the ones that only other components reach.
pub fn context<C: Context>(kernel: &Arc<Kernel<C>>, routes: Routes) -> Router {
    routes.merge(internal::routes(kernel)).guarded(&Identity::new(kernel.platform().clone(), kernel.keys().clone()))
}

/// What stands around the routes of a component.
pub struct Layer {
    /// The component.
    name: &'static str,
    platform: Arc<dyn Platform>,
    origins: Origins,
}

impl Layer {
    /// That of the component of this name.
    pub async fn of(name: &'static str, platform: Arc<dyn Platform>) -> Self {
        Self { name, origins: Origins::of(&*platform).await, platform }
    }

    /// Answers a request.
    pub async fn serve<B>(&self, app: Router, request: Request<B>) -> Response
    where
        B: axum::body::HttpBody<Data = Bytes> + Unpin,
    {
        let (parts, body) = request.into_parts();
        let trace = Trace::of_request(parts.uri.path(), &parts.headers);
        #[expect(clippy::disallowed_methods, reason = "how long a request took, once for each")]
        let began = std::time::Instant::now();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let origin = self.origins.origin(&parts.headers);
        let response = self.answer(app, parts, body, &trace).await.unwrap_or_else(IntoResponse::into_response);
        let cause = response.extensions().get::<Answer>().and_then(Answer::cause).map(str::to_owned);
        let mut response = write(response, &trace);
        self.origins.mark(origin, response.headers_mut());
        let status = response.status();
        let events = trace.events();
        // Reading is not worth a line while it goes well, nor is what the shop asks of itself, unless it made something happen.
        let is_quiet = method.is_safe() || path.starts_with(INTERNAL) || path == "/bell";
        if status.is_server_error() || cause.is_some() || !events.is_empty() || !is_quiet {
            let level = if status.is_server_error() { Level::Error } else { Level::Info };
            let correlation_id = only_line(response.headers(), CORRELATION_HEADER).ok().flatten();
            let correlation_id = correlation_id.and_then(|value| value.to_str().ok());
            let mut fields = json!({
                "method": method.as_str(), "path": path, "status": status.as_u16(),
                "duration_ms": began.elapsed().as_millis() as u64, "correlation_id": correlation_id,
                "trace_id": trace_id(&trace.traceparent),
            });
            if let Some(fields) = fields.as_object_mut() {
                if !events.is_empty() {
                    fields.insert("events".into(), json!(events));
                }
                fields.extend(cause.map(|cause| ("error".to_owned(), cause.into())));
            }
            log_line::write(level, self.name, "request", fields);
        }
        response
    }

    /// What a route says, or why none is asked. The body is read in any case, so that the client has an ear for the answer.
    async fn answer<B>(&self, app: Router, mut parts: Parts, body: B, trace: &Trace) -> Result<Response, Problem>
    where
        B: axum::body::HttpBody<Data = Bytes> + Unpin,
    {
        let bytes = platform::within(&*self.platform, BODY_PATIENCE, collect(body)).await.unwrap_or_else(|| {
            let detail = format!("The body was not here after {} seconds.", BODY_PATIENCE.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", detail))
        });
        self.origins.admit(&parts)?;
        if let Some(told) = self.origins.preflight(&parts).or_else(|| undecoded(&parts.headers)) {
            return Ok(told);
        }
        let (bytes, conditions) = (bytes?, Conditions::of_request(&parts.headers)?);
        let method = parts.method.clone();
        parts.extensions.insert(trace.clone().under(conditions.clone()));
        let request = Request::from_parts(parts, Body::from(bytes));
        let mut response = app.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
        // Those of a change were held against what it was decided on.
        if matches!(method, Method::GET | Method::HEAD)
            && let Some(answer) = response.extensions_mut().remove::<Answer>()
        {
            response.extensions_mut().insert(conditions.held_against(answer));
        }
        Ok(response)
    }
}

/// The refusal of a body in any coding: nothing here decodes, so whatever is in it was not meant as it stands.
fn undecoded(headers: &HeaderMap) -> Option<Response> {
    let is_identity = |value: &HeaderValue| {
        value.to_str().is_ok_and(|codings| {
            codings.split(',').map(str::trim).all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
        })
    };
    if headers.get_all(header::CONTENT_ENCODING).iter().all(is_identity) {
        return None;
    }
    let detail = "Send the body as it is, without a `Content-Encoding`.";
    let mut refused = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoded", detail).into_response();
    refused.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Some(refused)
}

/// The whole body, if it is not too large. What is too large is read on for a while, so that the client has an ear for
/// the answer.
async fn collect<B>(mut body: B) -> Result<Bytes, Problem>
where
    B: axum::body::HttpBody<Data = Bytes> + Unpin,
{
    let mut bytes = Vec::new();
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Problem::malformed("The body broke off."));
        };
        let Some(data) = frame.data_ref() else { continue };
        read = read.saturating_add(data.len());
        if read <= BODY_LIMIT {
            bytes.extend_from_slice(data);
        } else if read > DRAIN_LIMIT {
            break;
        }
    }
    if read > BODY_LIMIT {
        let detail = format!("The body may have {BODY_LIMIT} bytes at most.");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
    }
    Ok(bytes.into())
}

/// Writes the answer that a route gave, or a problem for what axum refused by itself, with the correlation id.
fn write(mut response: Response, trace: &Trace) -> Response {
    let answer = response.extensions_mut().remove::<Answer>();
    let status = response.status();
    let answer = match answer {
        Some(answer) => Some(answer),
        // Such as a path whose escapes are no UTF-8.
        None if status.is_client_error() => {
            Some(Problem::new(status, "malformed", "The request could not be understood.").answer())
        }
        None if status.is_server_error() => {
            Some(Problem::new(status, "internal", "Something went wrong on our side.").answer())
        }
        None => None,
    };
    let correlation_id = match answer.as_ref().and_then(Answer::correlation_id) {
        Some(order_id) if !trace.given => order_id.to_owned(),
        _ => trace.correlation_id.clone(),
    };
    if let Some(answer) = answer {
        let mut beside = std::mem::replace(&mut response, answer.write(&correlation_id));
        for name in [header::ALLOW, header::ACCEPT_ENCODING] {
            if let Some(value) = beside.headers_mut().remove(&name) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    if let Ok(value) = HeaderValue::from_str(&correlation_id) {
        response.headers_mut().insert(CORRELATION_HEADER, value);
    }
    response
}

/// The trace of the request that is being answered.
impl<S: Send + Sync> FromRequestParts<S> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Trace>().cloned().unwrap_or_else(Trace::own))
    }
}
