//! Spin as the platform of a context, and the two ways in which Spin calls one.

use crate::{
    Context, Kernel,
    bell::Ring,
    error::Error,
    gate::Gate,
    http::{Problem, layer},
    log_line::{self, Level},
    platform::{Platform, PlatformError, Row, Value},
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
    any::Any,
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long SQLite may wait for the lock in a thread of the host, in ms; see [`crate::database`].
const BUSY_TIMEOUT_MS: u32 = 8;
/// How long a variable counts as read. A request reads several, and they hardly ever change.
const SETTINGS_KEPT: Duration = Duration::from_millis(250);

/// Spin, as one instance of a component sees it. What was opened is kept for the instance's life.
#[derive(Default)]
struct Spin {
    /// Requests share them: a statement runs to its end before the next one on the same connection.
    reader: Kept<sqlite::Connection>,
    writer: Kept<sqlite::Connection>,
    /// Whether the database is on a libSQL server. It has few connections for all, and ends those that idle: there, none
    /// is kept.
    on_server: AtomicBool,
    stores: Pool<key_value::Store>,
    redis: Pool<redis::Connection>,
    settings: Mutex<BTreeMap<String, (Instant, Option<String>)>>,
}

/// One that is open, for all.
struct Kept<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    fn get(&self) -> Option<Arc<T>> {
        self.0.lock().ok()?.clone()
    }

    /// Keeps this one, unless there is one already; returns the one that is kept.
    fn keep(&self, open: T) -> Arc<T> {
        let open = Arc::new(open);
        match self.0.lock() {
            Ok(mut kept) => kept.get_or_insert(open).clone(),
            Err(_) => open,
        }
    }

    fn drop_it(&self) {
        if let Ok(mut kept) = self.0.lock() {
            *kept = None;
        }
    }
}

/// What is open and not in use. A connection does one thing at a time; whoever finds none opens another, so nobody
/// waits, and one whose request was given up in the middle is not used again.
struct Pool<T>(Mutex<Vec<T>>);

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
                None => self.open(kept).await?,
            };
            let rows = run(&connection, sql, parameters).await;
            // A file that could not be written when it was opened stays so for the connection's life.
            if let Err(PlatformError::Unavailable(_)) = &rows {
                kept.drop_it();
            }
            rows
        })
    }

    fn renew(&self) {
        self.writer.drop_it();
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
            let kept = self.settings.lock().ok().and_then(|settings| settings.get(name).cloned());
            if let Some((at, value)) = kept
                && at.elapsed() < SETTINGS_KEPT
            {
                return value;
            }
            let value = variables::get(name).await.ok();
            if let Ok(mut settings) = self.settings.lock() {
                settings.insert(name.to_owned(), (Instant::now(), value.clone()));
            }
            value
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(spin_sdk::time::sleep(duration))
    }
}

impl Spin {
    async fn open(&self, kept: &Kept<sqlite::Connection>) -> Result<Arc<sqlite::Connection>, PlatformError> {
        let connection = sqlite::Connection::open_default().await.map_err(error)?;
        if !self.on_server.load(Relaxed) {
            // Only a libSQL server refuses this: it has no such setting.
            let timeout = format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}");
            match run(&connection, &timeout, vec![]).await {
                Ok(_) => return Ok(kept.keep(connection)),
                Err(_) => self.on_server.store(true, Relaxed),
            }
        }
        Ok(Arc::new(connection))
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
    let result = connection.execute(sql, parameters.collect::<Vec<_>>()).await.map_err(error)?;
    let rows = result.collect().await.map_err(error)?;
    let value = |value| match value {
        sqlite::Value::Integer(integer) => Value::Integer(integer),
        sqlite::Value::Text(text) => Value::Text(text),
        sqlite::Value::Real(real) => Value::Text(real.to_string()),
        sqlite::Value::Blob(_) | sqlite::Value::Null => Value::Null,
    };
    Ok(rows.into_iter().map(|row| row.values.into_iter().map(value).collect()).collect())
}

fn error(error: sqlite::Error) -> PlatformError {
    match error {
        sqlite::Error::Io(message) => message.into(),
        sqlite::Error::DatabaseFull => PlatformError::Unavailable(error.to_string()),
        other => PlatformError::Failed(other.to_string()),
    }
}

/// A new view of Spin.
pub fn platform() -> Arc<dyn Platform> {
    Arc::new(Spin::default())
}

thread_local! {
    /// What an instance keeps between its requests: the app of its one component.
    static INSTANCE: RefCell<Option<Arc<dyn Any + Send + Sync>>> = const { RefCell::new(None) };
}

/// A context with its routes.
struct App<C: Context> {
    kernel: Arc<Kernel<C>>,
    router: Router,
}

async fn app<C: Context>(routes: fn(Arc<Kernel<C>>) -> Router) -> Result<Arc<App<C>>, Error> {
    // Requests come side by side: one opens, the others wait for it. If it fails, the next one tries.
    static OPENING: Gate = Gate::new();
    loop {
        let kept = INSTANCE.with_borrow(Option::clone);
        if let Some(app) = kept.and_then(|app| app.downcast::<App<C>>().ok()) {
            return Ok(app);
        }
        let Some(_opening) = OPENING.try_pass() else {
            spin_sdk::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let kernel = Kernel::<C>::open(platform()).await?;
        let router = layer::context(&kernel, routes(kernel.clone()));
        let app = Arc::new(App { kernel, router });
        INSTANCE.set(Some(app.clone()));
        return Ok(app);
    }
}

/// Answers an HTTP request to a component that is no context; `open` makes its routes, once for each instance.
pub async fn serve_routes<F>(name: &str, request: Request, open: impl FnOnce(Arc<dyn Platform>) -> F) -> Response
where
    F: Future<Output = Router>,
{
    let kept = INSTANCE.with_borrow(Option::clone);
    let router = match kept.and_then(|app| app.downcast::<Router>().ok()) {
        Some(router) => Router::clone(&router),
        None => {
            let router = layer::app(open(platform()).await);
            INSTANCE.set(Some(Arc::new(router.clone())));
            router
        }
    };
    layer::serve(name, router, request).await
}

/// What a component answers that cannot work.
fn unavailable(error: Error) -> Router {
    let answer = Problem::from(error).answer();
    Router::new().fallback(async move || answer)
}

/// Answers an HTTP request to a context.
pub async fn serve<C: Context>(request: Request, routes: fn(Arc<Kernel<C>>) -> Router) -> Response {
    match app(routes).await {
        Ok(app) => {
            let response = layer::serve(C::NAME, app.router.clone(), request).await;
            if app.kernel.bell.is_due() {
                // The answer does not wait for the bell.
                wit_bindgen::spawn(async move { app.kernel.bell.ring().await });
            }
            response
        }
        Err(error) => layer::serve(C::NAME, unavailable(error), request).await,
    }
}

/// Hears a bell: somebody appended to the log.
///
/// # Errors
/// When the log could not be worked off. The next bell, query or command tries again.
pub async fn wake<C: Context>(bell: Bytes) -> anyhow::Result<()> {
    if !Ring::concerns(&bell, C::CONSUMES) {
        return Ok(());
    }
    let kernel = Kernel::<C>::open(platform()).await?;
    let done = kernel.catch_up().await;
    // This instance ends when we return, so we wait for the bell.
    kernel.bell.ring_now().await;
    if let Err(error) = &done {
        log_line::write(Level::Error, C::NAME, "a bell was not heard", json!({"error": error.to_string()}));
    }
    done?;
    Ok(())
}
