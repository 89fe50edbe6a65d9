//! Spin as the platform of a context, and the two ways in which Spin calls one.

use crate::{
    Context, Kernel,
    bell::Ring,
    call::Keys,
    error::Error,
    gate::Once,
    http::{Layer, Problem, Routes, layer},
    identity::Identity,
    log_line::{self, Level},
    platform::{Platform, PlatformError, Row, Value, Variables},
};
use axum::{Router, body::Bytes, response::Response};
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::json;
use spin_sdk::{
    http::{FullBody, Request},
    key_value, redis, sqlite, variables,
};
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How each connection is set.
const SETTINGS: [&str; 2] = [
    // Most locks are held for less than this; what takes longer is waited for without blocking a thread (see `database`).
    "PRAGMA busy_timeout = 8",
    // In KiB. A burst makes an instance for each client, each with two connections; what they read is the newest end of the
    // log and single rows, so the 2 MB that SQLite lets each of them keep would only be memory.
    "PRAGMA cache_size = -256",
];

/// Spin, as one instance of a component sees it. What was opened is kept for the instance's life.
#[derive(Default)]
struct Spin {
    reader: Kept,
    writer: Kept,
    variables: Variables,
    /// Whether the database is on a libSQL server. It has few connections for all, and ends those that idle: there, none
    /// is kept.
    on_server: AtomicBool,
    stores: Pool<key_value::Store>,
    redis: Pool<redis::Connection>,
}

/// What is open and not in use. A connection does one thing at a time; whoever finds none opens another, so nobody
/// waits, and one whose request was given up in the middle is not used again.
struct Pool<T>(Mutex<Vec<T>>);

/// The one connection of its kind that all requests of the instance share: the host runs its statements one after
/// another.
#[derive(Default)]
struct Kept(Mutex<Option<Arc<sqlite::Connection>>>);

impl Kept {
    fn get(&self) -> Option<Arc<sqlite::Connection>> {
        self.0.lock().ok()?.clone()
    }

    /// Keeps it. Of two that were opened at once, the first is kept.
    fn keep(&self, opened: Arc<sqlite::Connection>) -> Arc<sqlite::Connection> {
        match self.0.lock() {
            Ok(mut kept) => kept.get_or_insert(opened).clone(),
            Err(_) => opened,
        }
    }

    /// Lets go of this one, if it is still the one that is kept; of any, if none is named.
    fn forget(&self, which: Option<&Arc<sqlite::Connection>>) {
        if let Ok(mut kept) = self.0.lock()
            && which.is_none_or(|which| kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, which)))
        {
            *kept = None;
        }
    }
}

/// A connection with a statement under way. Unless that came to a good end it is not used again: a request that was given up
/// in the middle may have left rows that nobody reads.
struct InUse<'a> {
    kept: &'a Kept,
    connection: Arc<sqlite::Connection>,
    is_good: bool,
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if !self.is_good {
            self.kept.forget(Some(&self.connection));
        }
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Pool<T> {
    fn take(&self) -> Option<T> {
        self.0.lock().ok()?.pop()
    }

    fn put(&self, open: T) {
        if let Ok(mut pool) = self.0.lock() {
            pool.push(open);
        }
    }
}

impl Platform for Spin {
    fn query<'a>(&'a self, sql: &'a str, parameters: Vec<Value>) -> BoxFuture<'a, Result<Vec<Row>, PlatformError>> {
        Box::pin(async move {
            let kept = if sql.starts_with("SELECT") { &self.reader } else { &self.writer };
            let connection = match kept.get() {
                Some(connection) => connection,
                None => {
                    let opened = Arc::new(self.connect().await?);
                    if self.on_server.load(Relaxed) { opened } else { kept.keep(opened) }
                }
            };
            let mut in_use = InUse { kept, connection, is_good: false };
            let rows = run(&in_use.connection, sql, parameters).await;
            in_use.is_good = !matches!(rows, Err(PlatformError::Unavailable(_) | PlatformError::Schema(_)));
            rows
        })
    }

    fn renew(&self) {
        self.writer.forget(None);
    }

    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<http::Response<Bytes>, String>> {
        Box::pin(async move {
            let request = request.map(FullBody::new);
            let response = spin_sdk::http::send(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok(http::Response::from_parts(parts, body))
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        Box::pin(async move {
            let store = self.store().await?;
            let value = store.get(key).await.map_err(|error| error.to_string())?;
            self.stores.put(store);
            Ok(value)
        })
    }

    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let store = self.store().await?;
            store.set(key, value).await.map_err(|error| error.to_string())?;
            self.stores.put(store);
            Ok(())
        })
    }

    fn publish<'a>(
        &'a self,
        address: &'a str,
        channel: &'a str,
        payload: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let connection = match self.redis.take() {
                Some(connection) => connection,
                None => redis::Connection::open(address).await.map_err(|error| error.to_string())?,
            };
            // A connection that failed is not put back: the next bell opens a new one.
            connection.publish(channel, payload).await.map_err(|error| error.to_string())?;
            self.redis.put(connection);
            Ok(())
        })
    }

    fn variable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            #[expect(clippy::disallowed_methods, reason = "the adapter: a setting is kept for a moment")]
            let now = Instant::now();
            if let Some(value) = self.variables.get(name, now) {
                return value;
            }
            let value = variables::get(name).await.ok();
            self.variables.keep(name, value.clone(), now);
            value
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(spin_sdk::time::sleep(duration))
    }
}

impl Spin {
    async fn connect(&self) -> Result<sqlite::Connection, PlatformError> {
        let connection = sqlite::Connection::open_default().await.map_err(platform_error)?;
        // Only a libSQL server refuses them: it has no such settings.
        for setting in SETTINGS {
            if self.on_server.load(Relaxed) {
                break;
            }
            self.on_server.store(run(&connection, setting, vec![]).await.is_err(), Relaxed);
        }
        Ok(connection)
    }

    async fn store(&self) -> Result<key_value::Store, String> {
        match self.stores.take() {
            Some(store) => Ok(store),
            None => key_value::Store::open_default().await.map_err(|error| error.to_string()),
        }
    }
}

/// Runs a statement to its end: its errors come only then, and the connection is free again only then.
async fn run(connection: &sqlite::Connection, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, PlatformError> {
    let parameters = parameters.into_iter().map(|value| match value {
        Value::Null => sqlite::Value::Null,
        Value::Integer(integer) => sqlite::Value::Integer(integer),
        Value::Text(text) => sqlite::Value::Text(text),
    });
    let result = connection.execute(sql, parameters.collect::<Vec<_>>()).await.map_err(platform_error)?;
    let rows = result.collect().await.map_err(platform_error)?;
    let value = |value| match value {
        sqlite::Value::Integer(integer) => Value::Integer(integer),
        sqlite::Value::Text(text) => Value::Text(text),
        sqlite::Value::Real(real) => Value::Text(real.to_string()),
        sqlite::Value::Blob(_) | sqlite::Value::Null => Value::Null,
    };
    Ok(rows.into_iter().map(|row| row.values.into_iter().map(value).collect()).collect())
}

fn platform_error(error: sqlite::Error) -> PlatformError {
    match error {
        sqlite::Error::Io(message) => PlatformError::of_sqlite(message),
        // It is full, or this component may not use it: nothing that lies in the statement.
        other => PlatformError::Unavailable(other.to_string()),
    }
}

/// A new view of Spin.
fn spin() -> Arc<dyn Platform> {
    Arc::new(Spin::default())
}

/// A context as a component: its kernel and its routes, opened once for each instance. [`component!`](crate::component) makes
/// it.
pub struct Component<C: Context> {
    routes: fn(Arc<Kernel<C>>) -> Routes,
    app: Once<App<C>>,
}

struct App<C: Context> {
    kernel: Arc<Kernel<C>>,
    router: Router,
    layer: Layer,
}

impl<C: Context> Component<C> {
    /// With these routes.
    pub const fn new(routes: fn(Arc<Kernel<C>>) -> Routes) -> Self {
        Self { routes, app: Once::new() }
    }

    async fn app(&self) -> Result<Arc<App<C>>, Error> {
        let open = async |platform| {
            let kernel = Kernel::<C>::open(platform).await?;
            let router = layer::context(&kernel, (self.routes)(kernel.clone()));
            let layer = Layer::of(C::NAME, kernel.platform().clone()).await;
            Ok(App { kernel, router, layer })
        };
        self.app.get(spin, open).await
    }

    /// Answers an HTTP request.
    pub async fn serve(&self, request: Request) -> Response {
        match self.app().await {
            Ok(app) => {
                let response = app.layer.serve(app.router.clone(), request).await;
                if app.kernel.bell.is_due() {
                    // The answer does not wait for the bell.
                    wit_bindgen::spawn(async move { app.kernel.bell.ring().await });
                }
                response
            }
            Err(error) => {
                let answer = Problem::from(error).answer();
                let unavailable = Router::new().fallback(async move || answer);
                Layer::of(C::NAME, spin()).await.serve(unavailable, request).await
            }
        }
    }

    /// Hears a bell: somebody appended to the log.
    ///
    /// # Errors
    /// When the log could not be worked off. The next bell, query or command tries again.
    pub async fn wake(&self, bell: Bytes) -> Result<(), Error> {
        if !Ring::concerns(&bell, C::CONSUMES) {
            return Ok(());
        }
        let app = self.app().await?;
        let done = app.kernel.catch_up().await;
        // This instance ends when we return, so we wait for the bell.
        app.kernel.bell.ring_now().await;
        if let Err(error) = &done {
            log_line::write(Level::Error, C::NAME, "a bell was not heard", json!({"error": error.to_string()}));
        }
        done.map(drop)
    }
}

/// Routes as a component that is no context. [`component!`](crate::component) makes it.
#[derive(Default)]
pub struct Plain(Once<(Router, Layer)>);

impl Plain {
    /// Not open yet.
    pub const fn new() -> Self {
        Self(Once::new())
    }

    /// Answers an HTTP request; `open` makes the routes, once for each instance.
    pub async fn serve<F>(
        &self,
        name: &'static str,
        request: Request,
        open: impl Fn(Arc<dyn Platform>) -> F,
    ) -> Response
    where
        F: Future<Output = Routes>,
    {
        let make = async |platform: Arc<dyn Platform>| {
            let identity = Identity::new(platform.clone(), Keys::new(name, platform.clone()));
            let layer = Layer::of(name, platform.clone()).await;
            Ok::<_, Infallible>((open(platform).await.guarded(&identity), layer))
        };
        let open = match self.0.get(spin, make).await {
            Ok(open) => open,
            Err(never) => match never {},
        };
        let (router, layer) = &*open;
        layer.serve(router.clone(), request).await
    }
}
