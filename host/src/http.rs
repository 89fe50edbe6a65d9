//! The HTTP trigger: a server, and for each component the instances that answer.

use std::{
    convert::Infallible,
    future::{Pending, pending},
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
    uri::{Authority, Scheme},
};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{net::TcpListener, time::Sleep};
use wasmtime::{Store, StoreContextMut, component::GuestTaskId};
use wasmtime_wasi_http::{
    Error, WasiBody, WasiHttpView,
    handler::{
        HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
    },
    p3::bindings::ServicePre,
};

use crate::{
    app::{App, Loaded, Shutdown, plain},
    outbound_http::Chaining,
    routes::Routes,
    state::State,
    telemetry::{Kind, Span, TraceContext},
};

/// As Spin reuses instances.
const MAX_REQUESTS: usize = 128;
const MAX_CONCURRENT_REQUESTS: usize = 16;
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

const WELL_KNOWN: &str = "/.well-known/spin/";

/// Where the app says whether it is ready. When the host is about to end it answers there itself.
const READY: &str = "/health/ready";

/// Answers requests until the shutdown, then finishes those that are in flight.
pub async fn serve(app: Arc<App>, listener: TcpListener, routes: Routes, mut shutdown: Shutdown) {
    let routes = Arc::new(routes);
    let connections = GracefulShutdown::new();
    loop {
        let (stream, client) = tokio::select! {
            // Whoever was let in by the kernel before the end is still answered.
            biased;
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    app.logs.say(format!("a connection could not be accepted: {error}"));
                    // Out of file descriptors, most likely: others have to be closed first.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = shutdown.begun() => break,
        };
        // Without it a small answer on a kept-alive connection takes 40 ms.
        let _ = stream.set_nodelay(true);
        let (app, routes) = (app.clone(), routes.clone());
        let service = service_fn(move |request| {
            let (app, routes) = (app.clone(), routes.clone());
            async move {
                let mut response = handle(&app, &routes, request, client).await;
                if app.shutdown.is_announced() {
                    // Requests that would come on this connection should go elsewhere too.
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        // A client may have nothing more to say and still listen (RFC 9112, section 9.6).
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).half_close(true);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A client that went away is no news.
            let _ = connection.await;
        });
    }
    drop(listener);
    connections.shutdown().await;
}

async fn handle(app: &App, routes: &Routes, mut request: Request<Incoming>, client: SocketAddr) -> Response<WasiBody> {
    // What Spin answers with an empty 500, or by closing the connection, no guest gets to see.
    if request.headers().values().any(|value| std::str::from_utf8(value.as_bytes()).is_err()) {
        return text(StatusCode::BAD_REQUEST, "a header is no UTF-8\n");
    }
    if authority(&request).is_none() {
        return text(StatusCode::BAD_REQUEST, "the request needs a Host header, and one only\n");
    }
    // A name that means something inside means nothing when it comes from outside.
    let headers = request.headers_mut();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host.split(':').next().is_some_and(|host| host.to_ascii_lowercase().ends_with(".spin.internal")) {
        headers.remove(HOST);
    }
    let path = request.uri().path().to_string();
    if let Some(name) = path.strip_prefix(WELL_KNOWN) {
        return if name == "health" { text(StatusCode::OK, "OK") } else { empty(StatusCode::NOT_FOUND) };
    }
    if path == READY && app.shutdown.is_announced() {
        return draining();
    }
    let Some((entry, rest)) = routes.find(&path) else {
        return empty(StatusCode::NOT_FOUND);
    };
    let Some(instances) = app.network.components.get().and_then(|all| all.get(&entry.component)) else {
        return empty(StatusCode::NOT_FOUND);
    };
    let Some(authority) = authority(&request) else {
        return text(StatusCode::BAD_REQUEST, "there is no such host outside\n");
    };
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority);
    let Ok(uri) = Uri::from_parts(uri) else {
        return text(StatusCode::BAD_REQUEST, "the request needs a path\n");
    };
    *request.uri_mut() = uri;
    let matched = Matched { route: &entry.route, prefix: entry.prefix(), rest: rest.to_string(), client };
    let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
    instances.answer(request, &matched).await
}

/// Whom the request is for: its one `Host`, which is a host with perhaps a port, and the same as in its URL if that names one.
fn authority(request: &Request<Incoming>) -> Option<Authority> {
    let named = request.uri().authority();
    let mut hosts = request.headers().get_all(HOST).iter();
    let authority = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok().filter(|host| named.is_none_or(|named| named == host)),
        (None, None) => named.cloned(),
        _ => None,
    };
    authority.filter(|authority: &Authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
}

/// How a request found its component.
pub struct Matched<'a> {
    route: &'a str,
    prefix: &'a str,
    rest: String,
    client: SocketAddr,
}

impl Matched<'_> {
    /// By service chaining: as if the component's route were `/...`.
    pub fn chained(path: String) -> Self {
        Self { route: "/...", prefix: "", rest: path, client: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0) }
    }

    /// Spin's own headers.
    fn describe(&self, uri: &Uri, headers: &mut HeaderMap) {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let values = [
            ("spin-full-url", format!("http://{host}{path}")),
            ("spin-path-info", self.rest.clone()),
            ("spin-matched-route", self.route.to_string()),
            ("spin-base-path", "/".to_string()),
            ("spin-raw-component-route", self.route.to_string()),
            ("spin-component-route", self.prefix.to_string()),
            ("spin-client-addr", self.client.to_string()),
        ];
        for (name, value) in values {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// The instances of one component. They are reused as Spin reuses them: up to 128 requests each, up to 16 at once, and gone
/// after a second without any.
pub struct Instances {
    handler: ProxyHandler<Instantiate>,
}

impl Instances {
    /// No instances yet, of a component that must be able to answer requests.
    pub fn new(app: &Arc<App>, loaded: Arc<Loaded>) -> Result<Self> {
        let pre = ServicePre::new(loaded.pre.clone()).map_err(plain).with_context(|| {
            format!(
                "component `{}` stands in the HTTP trigger but exports no wasi:http/handler@0.3.0; build it with spin-sdk 7 \
                 (#[http_service])",
                loaded.component.id
            )
        })?;
        let handler = ProxyHandler::new(Instantiate { app: app.clone(), loaded, pre: ProxyPre::P3(pre) });
        Ok(Self { handler })
    }

    /// Lets an instance answer.
    pub async fn answer(&self, mut request: Request<WasiBody>, matched: &Matched<'_>) -> Response<WasiBody> {
        request.headers_mut().remove(CONNECTION);
        let uri = request.uri().clone();
        matched.describe(&uri, request.headers_mut());
        let method = request.method().clone();
        let mut span = self.span(&request, matched);
        if let Some(span) = &span {
            span.context().inject(request.headers_mut());
        }
        let answer = self.handler.handle(span.as_ref().map(Span::context), request).await;
        if let Some(span) = &mut span {
            match &answer {
                Ok(response) => span.set("http.response.status_code", response.status().as_u16()),
                Err(error) => span.fail(error.root_cause()),
            }
        }
        match answer {
            Ok(response) => response,
            Err(error) => {
                let Instantiate { app, loaded, .. } = self.handler.state();
                app.logs.say(format!(
                    "component `{}`: {method} {uri} failed: {}",
                    loaded.component.id,
                    error.root_cause()
                ));
                empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

impl Instances {
    fn span(&self, request: &Request<WasiBody>, matched: &Matched<'_>) -> Option<Span> {
        let (method, uri) = (request.method().as_str(), request.uri());
        let parent = TraceContext::of(request.headers());
        let mut span = Span::start(format!("{method} {}", matched.route), Kind::Server, parent)?;
        span.set("http.request.method", method);
        span.set("http.route", matched.route);
        span.set("url.path", uri.path());
        span.set("url.query", uri.query().unwrap_or_default());
        span.set("url.scheme", "http");
        span.set("network.peer.address", matched.client.ip().to_string());
        span.set("component_id", &*self.handler.state().loaded.component.id);
        Some(span)
    }
}

struct Instantiate {
    app: Arc<App>,
    loaded: Arc<Loaded>,
    pre: ProxyPre<State>,
}

impl HandlerState for Instantiate {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Reuse>> {
        let mut store = self.app.store(&self.loaded, Chaining::Possible);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        let mut shutdown = self.app.shutdown.clone();
        Ok(Instance {
            store,
            proxy,
            view: |state| state.http(),
            expiration: Expiration {
                idle: Box::pin(tokio::time::sleep(IDLE_TIMEOUT)),
                shutdown: Some(Box::pin(async move { shutdown.begun().await })),
            },
            state: Reuse { app: self.app.clone(), id: self.loaded.component.id.clone() },
        })
    }
}

/// When an instance is done: a second after its last request, or at once when the host ends.
struct Expiration {
    idle: Pin<Box<Sleep>>,
    shutdown: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>, status: WorkerStatus, since: Instant) -> Poll<()> {
        if status != WorkerStatus::Idle {
            return Poll::Pending;
        }
        let ending = self.shutdown.as_mut().is_none_or(|shutdown| shutdown.as_mut().poll(context).is_ready());
        if ending {
            self.shutdown = None;
            return Poll::Ready(());
        }
        let deadline = (since + IDLE_TIMEOUT).into();
        if self.idle.deadline() != deadline {
            self.idle.as_mut().reset(deadline);
        }
        self.idle.as_mut().poll(context)
    }
}

struct Reuse {
    app: Arc<App>,
    id: Arc<str>,
}

impl WorkerState for Reuse {
    type StoreData = State;
    type RequestData = Option<TraceContext>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= MAX_REQUESTS {
            ShouldAccept::Never
        } else if concurrent >= MAX_CONCURRENT_REQUESTS {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, State>,
        trace: Option<TraceContext>,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        if let Some(trace) = trace {
            store.data_mut().trace(task, trace);
        }
        // Time-outs are the guest's.
        let never: Pending<()> = pending();
        Box::pin(never)
    }

    fn drop(&self, store: Store<State>, result: Result<(), wasmtime::Error>) {
        drop(store);
        if let Err(error) = result {
            self.app.logs.say(format!(
                "component `{}`: an instance ended, and with it all requests that it had in flight: {}",
                self.id,
                error.root_cause()
            ));
        }
    }
}

/// Nobody should send requests here any more.
fn draining() -> Response<WasiBody> {
    let correlation_id = format!("{:032x}", fastrand::u128(..));
    let problem = format!(
        r#"{{"type":"/problems/draining","title":"Service Unavailable","status":503,"detail":"This replica is about to end and finishes what it has begun.","correlation_id":"{correlation_id}"}}"#
    );
    let body = Full::new(Bytes::from(problem)).map_err(Error::from).boxed_unsync();
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    if let Ok(correlation_id) = HeaderValue::try_from(correlation_id) {
        headers.insert("x-correlation-id", correlation_id);
    }
    response
}

fn empty(status: StatusCode) -> Response<WasiBody> {
    answer(status, Empty::new().map_err(Error::from).boxed_unsync())
}

fn text(status: StatusCode, text: &'static str) -> Response<WasiBody> {
    let mut response =
        answer(status, Full::new(Bytes::from_static(text.as_bytes())).map_err(Error::from).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn answer(status: StatusCode, body: WasiBody) -> Response<WasiBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
