//! A context with its routes, called as Spin would call it.

use super::{Native, authorization, everybody};
use crate::{
    Context, Kernel,
    call::Keys,
    http::{Declared, INTERNAL, Layer, Routes, internal, layer, only_line},
    identity::Identity,
};
use axum::{Router, body::Bytes};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A context at work in one instance, with its routes.
pub struct App<C: Context> {
    pub native: Arc<Native>,
    pub kernel: Arc<Kernel<C>>,
    /// The routes, the internal ones included.
    pub router: Router,
}

impl<C: Context> App<C> {
    /// Opens the context on a platform.
    pub async fn open(native: &Arc<Native>, routes: fn(Arc<Kernel<C>>) -> Routes) -> Self {
        let kernel = Kernel::<C>::open(native.clone()).await.unwrap();
        let router = layer::context(&kernel, routes(kernel.clone()));
        Self { native: native.clone(), kernel, router }
    }

    /// Calls a route, and rings the bell if there is something to ring for, as an instance on Spin does.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Json>) -> Reply {
        let reply = call(&self.native, &self.router, method, path, headers, body).await;
        if self.kernel.bell.is_due() {
            self.kernel.bell.ring_now().await;
        }
        reply
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], None).await
    }

    /// POSTs a JSON body.
    pub async fn post(&self, path: &str, body: Json) -> Reply {
        self.call("POST", path, &[], Some(body)).await
    }

    /// POSTs a JSON body with an idempotency key.
    pub async fn post_once(&self, key: &str, path: &str, body: Json) -> Reply {
        self.call("POST", path, &[("idempotency-key", key)], Some(body)).await
    }

    /// Calls a route as somebody: with this header `Authorization`, or none if it is empty.
    pub async fn ask(&self, who: &str, method: &str, path: &str, body: Option<Json>) -> Reply {
        self.call(method, path, &[("authorization", who)], body).await
    }
}

/// What a context declares of its routes, the internal ones included.
pub fn declared<C: Context>(kernel: &Arc<Kernel<C>>, routes: Routes) -> Vec<Declared> {
    routes.merge(internal::routes(kernel)).declared().cloned().collect()
}

/// What a route answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body; null when there is none.
    pub body: Json,
}

impl Reply {
    /// A header, which is there once; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        only_line(&self.headers, name).unwrap().map_or("", |value| value.to_str().unwrap())
    }

    /// A text in the body; empty when there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    pub fn items(&self) -> &[Json] {
        self.body.get("items").and_then(Json::as_array).unwrap()
    }

    /// Asserts that this is a problem of this status and kind, with everything that a problem has (RFC 9457).
    #[track_caller]
    pub fn assert_problem(&self, status: u16, kind: &str) {
        assert_eq!((self.status, self.text("/type")), (status, format!("/problems/{kind}").as_str()), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body.get("status"), Some(&json!(status)), "{self:?}");
        assert!(!self.text("/title").is_empty() && !self.text("/detail").is_empty(), "{self:?}");
        assert_eq!(self.text("/correlation_id"), self.header("x-correlation-id"), "{self:?}");
        assert!(!self.header("x-correlation-id").is_empty());
    }
}

/// The routes of a component that is no context, as Spin would call them.
pub fn guarded(native: &Arc<Native>, routes: Routes) -> Router {
    routes.guarded(&Identity::new(native.clone(), Keys::new("test", native.clone())))
}

/// Calls a route as Spin would. Whoever does not say who they are (`authorization`, which is left out if it is empty) is
/// [`everybody`], or another context where only contexts may call.
pub async fn call(
    native: &Arc<Native>,
    routes: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Json>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers.iter().filter(|(name, value)| *name != "authorization" || !value.is_empty()) {
        request = request.header(*name, *value);
    }
    let is_said = headers.iter().any(|(name, _)| *name == "authorization");
    let is_private = path.starts_with(INTERNAL) || path == "/bell";
    if !is_said && !is_private {
        request = request.header("authorization", authorization(&everybody()));
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut request = request.body(body.into()).unwrap();
    if !is_said && is_private {
        request = Keys::new("test", native.replica()).sign(&request).await.unwrap();
    }
    let answer = answer(routes.clone(), request).await;
    let (parts, body) = answer.into_parts();
    let body = match serde_json::from_slice(&body) {
        _ if body.is_empty() => Json::Null,
        Ok(json) => json,
        // A text.
        Err(_) => String::from_utf8(body.to_vec()).unwrap().into(),
    };
    Reply { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub(super) async fn answer(routes: Router, request: Request<Bytes>) -> Response<Bytes> {
    let answer = Layer::of("test", Native::new()).await.serve(routes, request.map(Full::new)).await;
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}
