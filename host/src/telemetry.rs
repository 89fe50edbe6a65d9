//! Traces: what the host does for whom, exported over OTLP (HTTP, JSON) when `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
//!
//! Spans have the names and attributes that Spin gives them, and go on in W3C trace context. Unlike on Spin, each call of
//! a guest belongs to the request that made it, also when an instance answers many at once, and a guest sees the
//! `traceparent` of its own span. When nobody asked for traces none of this costs anything.

use std::{
    env,
    fmt::Display,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header::CONTENT_TYPE, uri::Scheme};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use wasmtime::{
    AsContextMut,
    component::{Accessor, HasSelf},
};

use crate::{logs::Logs, state::State};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How many spans wait for the exporter at most; more are lost.
const QUEUE: usize = 8_192;
/// How many are sent at once, and how long the first of them waits for the others.
const BATCH: usize = 512;
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// How long a collector may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where spans go; empty when nobody asked for them.
static EXPORTER: OnceLock<mpsc::Sender<Message>> = OnceLock::new();

enum Message {
    Span(Value),
    Flush(oneshot::Sender<()>),
}

/// Starts to export, if the environment asks for it.
///
/// # Errors
/// When it asks for something that this host doesn't do.
pub fn start(logs: &Logs) -> Result<()> {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| {
        variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| format!("{}/v1/traces", base.trim_end_matches('/')))
    });
    let Some(endpoint) = endpoint.filter(|_| variable("OTEL_SDK_DISABLED").is_none()) else { return Ok(()) };
    let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    ensure!(
        protocol.as_deref() != Some("grpc"),
        "OTEL_EXPORTER_OTLP_PROTOCOL: this host doesn't do grpc, only http; collectors take it on port 4318"
    );
    let uri: Uri = endpoint.parse().with_context(|| format!("`{endpoint}` is no address for traces"))?;
    ensure!(uri.scheme() == Some(&Scheme::HTTP), "traces go over http:// only, not to `{endpoint}`");
    let service = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "mealkit".to_string());
    let (sender, receiver) = mpsc::channel(QUEUE);
    let resource = json!([attribute("service.name", &json!(service))]);
    tokio::spawn(Exporter { receiver, uri, resource, logs: logs.clone(), is_failing: false }.run());
    let _ = EXPORTER.set(sender);
    Ok(())
}

/// Waits until what is over is exported.
pub async fn flush() {
    let Some(exporter) = EXPORTER.get() else { return };
    let (done, is_done) = oneshot::channel();
    if exporter.send(Message::Flush(done)).await.is_ok() {
        let _ = tokio::time::timeout(EXPORT_TIMEOUT, is_done).await;
    }
}

struct Exporter {
    receiver: mpsc::Receiver<Message>,
    uri: Uri,
    resource: Value,
    logs: Logs,
    is_failing: bool,
}

impl Exporter {
    async fn run(mut self) {
        let client = Client::builder(TokioExecutor::new()).build_http();
        loop {
            let (mut spans, mut flushed) = (Vec::new(), None);
            let mut deadline = None;
            while spans.len() < BATCH && flushed.is_none() {
                let next = match deadline {
                    None => self.receiver.recv().await,
                    Some(deadline) => match tokio::time::timeout_at(deadline, self.receiver.recv()).await {
                        Ok(next) => next,
                        Err(_) => break,
                    },
                };
                match next {
                    Some(Message::Span(span)) => spans.push(span),
                    Some(Message::Flush(done)) => flushed = Some(done),
                    None => return,
                }
                deadline = deadline.or(Some(Instant::now() + BATCH_DELAY));
            }
            if !spans.is_empty() {
                self.export(&client, spans).await;
            }
            if let Some(done) = flushed {
                let _ = done.send(());
            }
        }
    }

    async fn export(&mut self, client: &Client<HttpConnector, Full<Bytes>>, spans: Vec<Value>) {
        let scope = json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
        let body = json!({"resourceSpans": [{
            "resource": {"attributes": self.resource},
            "scopeSpans": [{"scope": scope, "spans": spans}],
        }]});
        let mut request = Request::new(Full::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let failure = match tokio::time::timeout(EXPORT_TIMEOUT, client.request(request)).await {
            Ok(Ok(response)) if response.status().is_success() => None,
            Ok(Ok(response)) => Some(response.status().to_string()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it took too long".to_string()),
        };
        // Once, until it works again.
        if let (Some(failure), false) = (&failure, self.is_failing) {
            self.logs.say(format!("traces get lost: {} does not take them ({failure})", self.uri));
        }
        self.is_failing = failure.is_some();
    }
}

/// Which trace something belongs to, and which span of it (W3C trace context).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl TraceContext {
    /// What a request says that it belongs to, if it says so once. What a later version has behind the flags is not read.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let mut parts = line.to_str().ok()?.splitn(5, '-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_known = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        if !(is_known && hex(trace, 32) && hex(span, 16) && hex(flags, 2)) {
            return None;
        }
        let context = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        (context.trace != 0 && context.span != 0).then_some(context)
    }

    /// Lets a request belong to this.
    pub fn inject(self, headers: &mut HeaderMap) {
        let Self { trace, span, sampled } = self;
        let text = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled));
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// What a span is to its parent, by its number in OTLP.
#[derive(Clone, Copy)]
pub enum Kind {
    /// It answers a request.
    Server = 2,
    /// It asks somebody else.
    Client = 3,
    /// It handles a message.
    Consumer = 5,
}

/// Something that takes time. It ends when it is dropped.
pub struct Span {
    context: TraceContext,
    parent: Option<u64>,
    name: String,
    kind: Kind,
    start: SystemTime,
    attributes: Vec<Value>,
    failure: Option<String>,
}

impl Span {
    /// Begins now; without a parent a trace begins with it. None when nobody asked for traces.
    pub fn start(name: impl Into<String>, kind: Kind, parent: Option<TraceContext>) -> Option<Self> {
        EXPORTER.get()?;
        let context = TraceContext {
            trace: parent.map_or_else(|| fastrand::u128(1..), |parent| parent.trace),
            span: fastrand::u64(1..),
            sampled: parent.is_none_or(|parent| parent.sampled),
        };
        let parent = parent.map(|parent| parent.span);
        let (start, attributes) = (SystemTime::now(), Vec::new());
        Some(Self { context, parent, name: name.into(), kind, start, attributes, failure: None })
    }

    /// A call of a guest to a service, within the request for which it makes it.
    pub fn call<T>(accessor: &Accessor<T, HasSelf<State>>, name: &'static str) -> Option<Self> {
        EXPORTER.get()?;
        Self::start(name, Kind::Client, caller(accessor))
    }

    /// What its children belong to.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Says more about it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push(attribute(key, &value.into()));
    }

    /// Says that it failed, and why.
    pub fn fail(&mut self, failure: impl Display) {
        self.failure = Some(failure.to_string());
    }
}

/// The request, or the message, for which a guest makes the call that is being made.
pub fn caller<T>(accessor: &Accessor<T, HasSelf<State>>) -> Option<TraceContext> {
    EXPORTER.get()?;
    accessor.with(|mut access| {
        let tasks: Vec<_> = access.as_context_mut().async_call_stack().ok()?.collect();
        access.get().trace_of(&tasks)
    })
}

fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"key": key, "value": value})
}

fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

impl Drop for Span {
    fn drop(&mut self) {
        let (true, Some(exporter)) = (self.context.sampled, EXPORTER.get()) else { return };
        let status = self.failure.take().map_or_else(|| json!({}), |failure| json!({"code": 2, "message": failure}));
        // A collector that is too slow costs spans, not requests.
        let _ = exporter.try_send(Message::Span(json!({
            "traceId": format!("{:032x}", self.context.trace),
            "spanId": format!("{:016x}", self.context.span),
            "parentSpanId": self.parent.map(|parent| format!("{parent:016x}")).unwrap_or_default(),
            "name": self.name,
            "kind": self.kind as u8,
            "startTimeUnixNano": nanoseconds(self.start),
            "endTimeUnixNano": nanoseconds(SystemTime::now()),
            "attributes": std::mem::take(&mut self.attributes),
            "status": status,
        })));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_trace_context_comes_through_a_header_and_back() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(text));
        let context = TraceContext::of(&headers).unwrap();
        assert!(context.sampled);
        let mut sent = HeaderMap::new();
        context.inject(&mut sent);
        assert_eq!(sent, headers);
    }

    #[test]
    fn a_later_trace_context_is_read_as_far_as_this_version_goes_and_none_is_read_twice() {
        let later = HeaderValue::from_static("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-what-comes");
        let mut headers = HeaderMap::from_iter([(TRACEPARENT, later.clone())]);
        assert!(TraceContext::of(&headers).unwrap().sampled);
        headers.append(TRACEPARENT, later);
        assert_eq!(TraceContext::of(&headers), None);
    }

    #[test]
    fn what_is_no_trace_context_is_none() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            let headers = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(text))]);
            assert_eq!(TraceContext::of(&headers), None, "{text}");
        }
    }
}
