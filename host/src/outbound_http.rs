//! Outbound HTTP: calls to other components in this process (service chaining), and to other hosts.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Request, Response, header::HOST, uri::Scheme};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use wasmtime::component::{Accessor, HasData, HasSelf, Resource};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p3::{
        self,
        bindings::http::{client, types::ErrorCode},
    },
};

use crate::{
    http::{Instances, Matched},
    state::{Component, State},
    telemetry::{self, Kind, Span, TraceContext},
};

/// As long as Spin waits for a connection, and for an answer, when the guest does not say how long.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// What all instances need to make calls.
pub struct Network {
    /// The components that other components can call, by id. Set when all are loaded.
    pub components: OnceLock<BTreeMap<String, Instances>>,
    client: legacy::Client<HttpConnector, WasiBody>,
}

impl Network {
    /// A network without components.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(DEFAULT_TIMEOUT));
        Self { components: OnceLock::new(), client: legacy::Client::builder(TokioExecutor::new()).build(connector) }
    }

    async fn call(&self, id: &str, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        let Some(instances) = self.components.get().and_then(|components| components.get(id)) else {
            return Err(Error::DestinationNotFound);
        };
        let path = request.uri().path().to_string();
        Ok(instances.answer(request, &Matched::chained(path)).await)
    }

    async fn send(&self, request: Request<WasiBody>, options: RequestOptions) -> Result<Response<WasiBody>, Error> {
        let patience = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let response = tokio::time::timeout(patience, self.client.request(request))
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| connection_error(&error))?;
        Ok(response.map(|body| body.map_err(Error::from).boxed_unsync()))
    }
}

/// How one instance makes calls.
pub struct Outbound {
    /// What the next request belongs to, if anybody wants to know.
    pub caller: Option<TraceContext>,
    component: Arc<Component>,
    network: Arc<Network>,
    chaining: Chaining,
}

/// Whether an instance can call other components.
#[derive(Clone, Copy, PartialEq)]
pub enum Chaining {
    /// In the HTTP trigger.
    Possible,
    /// In the Redis trigger: on Spin that is another process, in which the names of components mean nothing.
    Impossible,
}

impl Outbound {
    /// Calls as this component, as far as it may.
    pub fn new(component: Arc<Component>, network: Arc<Network>, chaining: Chaining) -> Self {
        Self { caller: None, component, network, chaining }
    }

    fn say(&self, text: &str) {
        self.component.logs.say(format!("component `{}` {text}", self.component.id));
    }

    fn span(&self, request: &Request<WasiBody>) -> Option<Span> {
        let mut span = Span::start(request.method().as_str(), Kind::Client, self.caller)?;
        span.set("http.request.method", request.method().as_str());
        span.set("url.full", request.uri().to_string());
        span.set("server.address", request.uri().host().unwrap_or_default());
        span.set("component_id", &*self.component.id);
        Some(span)
    }

    fn check(&self, request: &Request<WasiBody>) -> Result<(), Error> {
        let uri = request.uri();
        if !self.component.allowed_hosts.allow(&uri.to_string()) {
            let scheme = uri.scheme_str().unwrap_or("http");
            let host = uri.authority().map_or("self", |authority| authority.as_str());
            self.say(&format!("may not reach {scheme}://{host}: add it to allowed_outbound_hosts"));
            return Err(Error::HttpRequestDenied);
        }
        if uri.scheme() == Some(&Scheme::HTTPS) {
            self.say(&format!("asked for {uri}: this host doesn't do https; use http here, or Spin"));
            return Err(Error::TlsProtocolError);
        }
        Ok(())
    }
}

/// `wasi:http/client` as wasmtime-wasi-http has it, told for whom each request is.
pub struct Client;

impl HasData for Client {
    type Data<'a> = WasiHttpCtxView<'a>;
}

impl client::HostWithStore<State> for Client {
    async fn send(
        accessor: &Accessor<State, Self>,
        request: Resource<p3::Request>,
    ) -> Result<Resource<p3::Response>, TrappableError<ErrorCode>> {
        let accessor = accessor.with_getter::<HasSelf<State>>(|state| state);
        let caller = telemetry::caller(&accessor);
        // The hook below reads it before anything else is done.
        accessor.with(|mut access| access.get().trace_outbound(caller));
        WasiHttp::send(&accessor.with_getter::<WasiHttp>(State::http), request).await
    }
}

type Answer = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let allowed = self.check(&request);
        let network = self.network.clone();
        let chaining = self.chaining;
        // The URL says it; components that are called must not see it, as on Spin.
        request.headers_mut().remove(HOST);
        let mut span = self.span(&request);
        if let Some(span) = &span {
            span.context().inject(request.headers_mut());
        }
        let callee = request.uri().host().and_then(|host| host.strip_suffix(".spin.internal")).map(str::to_string);
        if let (Ok(()), Some(id), Chaining::Impossible) = (&allowed, &callee, chaining) {
            self.say(&format!("called `{id}` from the Redis trigger, where there is no service chaining"));
        }
        Box::new(async move {
            let response = async {
                allowed?;
                match (callee, chaining) {
                    (Some(id), Chaining::Possible) => network.call(&id, request).await,
                    (Some(_), Chaining::Impossible) => Err(unknown_name()),
                    (None, _) => network.send(request, options.unwrap_or_default()).await,
                }
            };
            let response = response.await;
            match (&mut span, &response) {
                (Some(span), Ok(response)) => span.set("http.response.status_code", response.status().as_u16()),
                (Some(span), Err(error)) => span.fail(error),
                (None, _) => {}
            }
            let response = response?;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

fn unknown_name() -> Error {
    Error::DnsError { rcode: Some("address not available".to_string()), info_code: Some(0) }
}

fn connection_error(error: &legacy::Error) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("dns error") {
            return unknown_name();
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::TimedOut
        {
            return Error::ConnectionTimeout;
        }
        cause = error.source();
    }
    if error.is_connect() { Error::ConnectionRefused } else { Error::HttpProtocolError }
}
