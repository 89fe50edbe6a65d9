//! A stand-in for Spin, in this process: real SQLite in a file, everything else from memory.
//!
//! A [`Native`] is what one instance of a component sees; [`Native::replica`] is another instance in the same world:
//! the same database, key-value store, network and clock. An [`App`] is a context at work on it, with its routes.
//!
//! Every call to the platform has a name, by which tests make it fail, hold it, or find it again: a statement's is its
//! SQL, the others' are `POST http://…`, `PUBLISH channel`, `GET key` and `SET key`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "only tests use it")]

use crate::{
    Context, Kernel, Trace,
    http::{layer, only_line},
    log,
    platform::{Platform, PlatformError, Row, Value, timestamp},
};
use axum::{Router, body::Bytes};
use contracts::{Event, EventType};
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use rusqlite::{Connection, config::DbConfig, types};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{sync::Semaphore, task::yield_now, time::timeout};

/// How long a test waits for what should happen at once.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// What all instances share.
struct World {
    folder: tempfile::TempDir,
    store: Mutex<BTreeMap<String, Vec<u8>>>,
    network: Mutex<BTreeMap<String, Router>>,
    published: Mutex<Vec<(String, Json)>>,
    now: Mutex<SystemTime>,
}

/// The platform of one instance.
pub struct Native {
    world: Arc<World>,
    /// One connection that reads and one that writes, as an instance on Spin keeps them.
    reader: Mutex<Option<Connection>>,
    writer: Mutex<Option<Connection>>,
    /// The test's own.
    beside: Mutex<Option<Connection>>,
    variables: Mutex<BTreeMap<String, String>>,
    patience: Mutex<Duration>,
    hooks: Mutex<Vec<Hook>>,
    calls: Mutex<Vec<String>>,
}

/// What a test has in mind for a call.
struct Hook {
    text: String,
    skip: usize,
    times: usize,
    deed: Deed,
}

#[derive(Clone)]
enum Deed {
    /// It fails, and nothing is done.
    Fail(String),
    /// It is done, but the answer is lost.
    Lose(String),
    /// It waits.
    Hold(Arc<Hold>),
    /// It is done, and its answer waits.
    HoldAnswer(Arc<Hold>),
}

/// A call that waits for the test.
pub struct Hold {
    here: Semaphore,
    go: Semaphore,
}

impl Hold {
    /// Waits until the call has come here.
    pub async fn reached(&self) {
        timeout(DEADLINE, self.here.acquire()).await.expect("nobody made the call").unwrap().forget();
    }

    /// Lets the call go on.
    pub fn release(&self) {
        self.go.add_permits(1);
    }

    async fn wait(&self) {
        self.here.add_permits(1);
        self.go.acquire().await.unwrap().forget();
    }
}

impl Native {
    /// An instance in a world of its own.
    pub fn new() -> Arc<Self> {
        let start = humantime::parse_rfc3339("2026-01-01T09:00:00Z").unwrap();
        let world = World {
            folder: tempfile::tempdir().unwrap(),
            store: Mutex::default(),
            network: Mutex::default(),
            published: Mutex::default(),
            now: Mutex::new(start),
        };
        Self::within(Arc::new(world))
    }

    /// Another instance in the same world.
    pub fn replica(&self) -> Arc<Self> {
        let replica = Self::within(self.world.clone());
        replica.variables.lock().unwrap().clone_from(&self.variables.lock().unwrap());
        *replica.patience.lock().unwrap() = *self.patience.lock().unwrap();
        replica
    }

    fn within(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world,
            reader: Mutex::default(),
            writer: Mutex::default(),
            beside: Mutex::default(),
            variables: Mutex::default(),
            patience: Mutex::new(DEADLINE),
            hooks: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    /// Sets a variable of the component. The kernel reads its own when it is opened.
    pub fn set_variable(&self, name: &str, value: &str) {
        self.variables.lock().unwrap().insert(name.into(), value.into());
    }

    /// Sets how long a statement waits for the lock.
    pub fn set_patience(&self, patience: Duration) {
        *self.patience.lock().unwrap() = patience;
    }

    /// Sets the clock forward, everywhere.
    pub fn advance(&self, by: Duration) {
        *self.world.now.lock().unwrap() += by;
    }

    /// Sets the clock back, everywhere.
    pub fn set_back(&self, by: Duration) {
        *self.world.now.lock().unwrap() -= by;
    }

    /// Puts routes behind a base URL such as `http://payment.spin.internal`. Who calls another one gets an error.
    pub fn route(&self, base: &str, routes: Router) {
        self.world.network.lock().unwrap().insert(base.into(), routes);
    }

    /// The next call with this text in its name fails with this message, and nothing of it is done.
    pub fn fail(&self, text: &str, message: &str) {
        self.fail_nth(1, text, message);
    }

    /// The n-th call from now with this text in its name fails.
    pub fn fail_nth(&self, n: usize, text: &str, message: &str) {
        self.hook(text, n - 1, 1, Deed::Fail(message.into()));
    }

    /// All calls with this text in their names fail, until [`heal`](Self::heal).
    pub fn fail_always(&self, text: &str, message: &str) {
        self.hook(text, 0, usize::MAX, Deed::Fail(message.into()));
    }

    /// The next call with this text in its name is done, but its answer is lost: it fails with this message.
    pub fn lose_answer(&self, text: &str, message: &str) {
        self.hook(text, 0, 1, Deed::Lose(message.into()));
    }

    /// The next call with this text in its name waits until it is released.
    pub fn hold(&self, text: &str) -> Arc<Hold> {
        self.hold_as(text, Deed::Hold)
    }

    /// The answer to the next call with this text in its name waits until it is released.
    pub fn hold_answer(&self, text: &str) -> Arc<Hold> {
        self.hold_as(text, Deed::HoldAnswer)
    }

    fn hold_as(&self, text: &str, deed: fn(Arc<Hold>) -> Deed) -> Arc<Hold> {
        let hold = Arc::new(Hold { here: Semaphore::new(0), go: Semaphore::new(0) });
        self.hook(text, 0, 1, deed(hold.clone()));
        hold
    }

    /// From now on all goes well.
    pub fn heal(&self) {
        self.hooks.lock().unwrap().clear();
    }

    fn hook(&self, text: &str, skip: usize, times: usize, deed: Deed) {
        self.hooks.lock().unwrap().push(Hook { text: text.into(), skip, times, deed });
    }

    fn deed(&self, call: &str) -> Option<Deed> {
        let mut hooks = self.hooks.lock().unwrap();
        let hook = hooks.iter_mut().find(|hook| hook.times > 0 && call.contains(&hook.text))?;
        if hook.skip > 0 {
            hook.skip -= 1;
            return None;
        }
        hook.times -= 1;
        Some(hook.deed.clone())
    }

    /// How many calls with this text in their names this instance has made.
    pub fn calls(&self, text: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.contains(text)).count()
    }

    /// What was published, by all instances: channel and payload.
    pub fn published(&self) -> Vec<(String, Json)> {
        self.world.published.lock().unwrap().clone()
    }

    /// Runs a statement beside the context, as a test may: unnamed and unhindered.
    pub fn sql(&self, sql: &str, parameters: Vec<Value>) -> Vec<Row> {
        let mut beside = self.beside.lock().unwrap();
        let connection = beside.get_or_insert_with(|| self.connect_patiently());
        run(connection, sql, parameters).unwrap()
    }

    /// The integer that a statement selects.
    pub fn integer(&self, sql: &str) -> i64 {
        self.sql(sql, vec![]).first().and_then(|row| row.first()?.integer()).unwrap()
    }

    /// Takes the write lock, until the connection is dropped.
    pub fn lock(&self) -> Connection {
        let connection = self.connect_patiently();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    }

    /// Appends an event to the log, as some other context would. Returns its sequence number.
    pub fn append(&self, source: &str, event: Event) -> i64 {
        let trace = Trace::own();
        let recorded = log::fresh(event, &trace, uuid::Uuid::now_v7(), &timestamp(self.now()));
        let row = log::appended(source, EventType::ALL, &[recorded]).unwrap();
        let sql = "INSERT INTO event (id, source, type, version, subject, time, correlation_id, causation_id, \
            traceparent, data) SELECT value ->> 'id', value ->> 'source', value ->> 'type', value ->> 'version', \
            value ->> 'subject', value ->> 'time', value ->> 'correlation_id', value ->> 'causation_id', \
            value ->> 'traceparent', value -> 'data' FROM json_each(?) RETURNING seq";
        self.sql(sql, vec![json!(row).to_string().into()]).first().and_then(|row| row.first()?.integer()).unwrap()
    }

    /// The log: type and subject of every event, in order.
    pub fn log(&self) -> Vec<(String, String)> {
        let text = |row: &Row, index: usize| row.get(index).and_then(Value::text).unwrap().to_owned();
        let rows = self.sql("SELECT type, subject FROM event ORDER BY seq", vec![]);
        rows.iter().map(|row| (text(row, 0), text(row, 1))).collect()
    }

    /// The types of the events about a subject, in order.
    pub fn log_of(&self, subject: &str) -> Vec<String> {
        self.log().into_iter().filter(|(_, about)| about == subject).map(|(event_type, _)| event_type).collect()
    }

    /// Everything that is kept anywhere, as text: all rows of all tables, the key-value store, what was published.
    pub fn everything(&self) -> String {
        let mut all = format!("{:?} {:?}", self.world.store.lock().unwrap(), self.published());
        for table in self.sql("SELECT name FROM sqlite_master WHERE type = 'table'", vec![]) {
            let name = table.first().and_then(Value::text).unwrap();
            all.push_str(&format!("{name}: {:?}\n", self.sql(&format!("SELECT * FROM \"{name}\""), vec![])));
        }
        all
    }

    /// How SQLite goes about the statements that ran so far and have this text in them, triggers included: each step of
    /// `EXPLAIN QUERY PLAN` with its statement.
    pub fn plans(&self, text: &str) -> Vec<(String, String)> {
        let connection = self.connect().unwrap();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP, true).unwrap();
        let calls: BTreeSet<String> = self.calls.lock().unwrap().iter().cloned().collect();
        let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE"];
        let statements = calls.iter().filter(|call| verbs.iter().any(|verb| call.starts_with(verb)));
        let mut plans = Vec::new();
        for sql in statements.filter(|sql| sql.contains(text)) {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = plan.raw_query().mapped(|row| row.get::<_, String>("detail"));
            plans.extend(steps.map(|step| (step.unwrap(), sql.clone())));
        }
        plans
    }

    /// The steps of all statements that ran so far that read a whole table or sort. Tables of one row, the statement's
    /// own parameters and what a subquery found do not count.
    pub fn scans(&self) -> Vec<(String, String)> {
        const SMALL: [&str; 9] = [
            "consumer",
            "SCAN reader",
            "SCAN live",
            "sqlite_master",
            "log_archive",
            "customer_center_generation",
            "CONSTANT ROW",
            "VIRTUAL TABLE",
            "SCAN (subquery",
        ];
        let is_scan = |step: &str| {
            let small = SMALL.iter().any(|small| step.contains(small));
            (step.starts_with("SCAN ") && !small) || step.contains("TEMP B-TREE FOR ORDER")
        };
        self.plans("").into_iter().filter(|(step, _)| is_scan(step)).collect()
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(self.world.folder.path().join("mealkit.db"))?;
        connection.busy_timeout(Duration::ZERO)?;
        // What a test writes need not survive the power failing.
        connection.pragma_update(None, "synchronous", "OFF")?;
        Ok(connection)
    }

    fn connect_patiently(&self) -> Connection {
        let connection = self.connect().unwrap();
        connection.busy_timeout(DEADLINE).unwrap();
        connection
    }

    async fn named<T>(&self, call: String, act: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        // A call to the host is where the other requests of an instance get their turn.
        yield_now().await;
        let deed = self.deed(&call);
        self.calls.lock().unwrap().push(call);
        match deed {
            Some(Deed::Fail(message)) => return Err(message),
            Some(Deed::Lose(message)) => return act.await.and(Err(message)),
            Some(Deed::Hold(hold)) => hold.wait().await,
            Some(Deed::HoldAnswer(hold)) => {
                let done = act.await;
                hold.wait().await;
                return done;
            }
            None => {}
        }
        let done = act.await;
        yield_now().await;
        done
    }
}

/// Runs the first statement of a string, to its end.
fn run(connection: &Connection, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, String> {
    let message = |error: rusqlite::Error| error.to_string();
    let parameters = parameters.into_iter().map(|value| match value {
        Value::Null => types::Value::Null,
        Value::Integer(integer) => types::Value::Integer(integer),
        Value::Text(text) => types::Value::Text(text),
    });
    let mut statement = connection.prepare(sql).map_err(message)?;
    let columns = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(parameters)).map_err(message)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(message)? {
        let value = |index| match row.get(index) {
            Ok(types::Value::Integer(integer)) => Value::Integer(integer),
            Ok(types::Value::Text(text)) => Value::Text(text),
            Ok(types::Value::Real(real)) => Value::Text(real.to_string()),
            _ => Value::Null,
        };
        found.push((0..columns).map(value).collect());
    }
    Ok(found)
}

impl Platform for Native {
    fn query<'a>(&'a self, sql: &'a str, parameters: Vec<Value>) -> BoxFuture<'a, Result<Vec<Row>, PlatformError>> {
        Box::pin(async move {
            let named = self.named(sql.to_owned(), async move {
                let kept = if sql.starts_with("SELECT") { &self.reader } else { &self.writer };
                let mut kept = kept.lock().unwrap();
                let connection = match kept.take() {
                    Some(connection) => connection,
                    None => self.connect().map_err(|error| error.to_string())?,
                };
                let rows = run(&connection, sql, parameters);
                let error = rows.as_ref().err().cloned().map(PlatformError::of_sqlite);
                if !matches!(error, Some(PlatformError::Unavailable(_) | PlatformError::Schema(_))) {
                    *kept = Some(connection);
                }
                rows
            });
            named.await.map_err(PlatformError::of_sqlite)
        })
    }

    fn renew(&self) {
        *self.writer.lock().unwrap() = None;
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, String>> {
        let call = format!("{} {}", request.method(), request.uri());
        Box::pin(self.named(call, async move {
            let uri = request.uri();
            let base = format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
            let routes = self.world.network.lock().unwrap().get(&base).cloned();
            let routes = routes.ok_or_else(|| format!("DnsError: there is no {base}"))?;
            Ok(answer(routes, request).await)
        }))
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        Box::pin(
            self.named(format!("GET {key}"), async move { Ok(self.world.store.lock().unwrap().get(key).cloned()) }),
        )
    }

    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.named(format!("SET {key}"), async move {
            self.world.store.lock().unwrap().insert(key.to_owned(), value);
            Ok(())
        }))
    }

    fn publish<'a>(&'a self, _: &'a str, channel: &'a str, payload: Vec<u8>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.named(format!("PUBLISH {channel}"), async move {
            let payload = serde_json::from_slice(&payload).unwrap();
            self.world.published.lock().unwrap().push((channel.to_owned(), payload));
            Ok(())
        }))
    }

    fn variable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move { self.variables.lock().unwrap().get(name).cloned() })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let world = self.world.clone();
        Box::pin(async move {
            tokio::time::sleep(duration).await;
            *world.now.lock().unwrap() += duration;
        })
    }

    fn patience(&self) -> Duration {
        *self.patience.lock().unwrap()
    }

    fn now(&self) -> SystemTime {
        *self.world.now.lock().unwrap()
    }
}

/// A context at work in one instance, with its routes.
pub struct App<C: Context> {
    pub kernel: Arc<Kernel<C>>,
    /// The routes, the internal ones included.
    pub router: Router,
}

impl<C: Context> App<C> {
    /// Opens the context on a platform.
    pub async fn open(native: &Arc<Native>, routes: fn(Arc<Kernel<C>>) -> Router) -> Self {
        let kernel = Kernel::<C>::open(native.clone()).await.unwrap();
        let router = layer::context(&kernel, routes(kernel.clone()));
        Self { kernel, router }
    }

    /// Calls a route, and rings the bell if there is something to ring for, as an instance on Spin does.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Json>) -> Reply {
        let reply = call(&self.router, method, path, headers, body).await;
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

/// Calls a route as Spin would.
pub async fn call(routes: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Json>) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let answer = answer(routes.clone(), request.body(body.into()).unwrap()).await;
    let (parts, body) = answer.into_parts();
    let body = match serde_json::from_slice(&body) {
        _ if body.is_empty() => Json::Null,
        Ok(json) => json,
        // A text.
        Err(_) => String::from_utf8(body.to_vec()).unwrap().into(),
    };
    Reply { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn answer(routes: Router, request: Request<Bytes>) -> Response<Bytes> {
    let answer = layer::serve("test", routes, request.map(Full::new)).await;
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// An id as the shop makes them, of which a greater number sorts behind: for what is read page by page.
pub fn id(number: u32) -> String {
    format!("01900000-0000-7000-8000-{number:012}")
}

/// An event of this type about this order (for the catalogue: about product `kit-1`), for tests that do not care what
/// else is in it.
pub fn event(event_type: &str, order_id: &str) -> Event {
    event_with(event_type, order_id, json!({}))
}

/// The same, with some of its data.
pub fn event_with(event_type: &str, order_id: &str, data: Json) -> Event {
    // Every event finds its fields in here; what it does not have it leaves aside.
    let mut all = json!({
        "order_id": order_id, "product_id": "kit-1", "member_id": "member-1", "seller_id": "seller-1",
        "payment_id": format!("payment-{order_id}"), "delivery_id": format!("delivery-{order_id}"),
        "notification_id": format!("notification-{order_id}"), "product_name": "Bibimbap", "name": "Bibimbap",
        "description": null, "image_url": null, "price": 12_000, "unit_price": 12_000, "quantity": 2, "stock": 8,
        "amount": 24_000, "address": "1 Sejong-daero, Seoul", "card": "**** 1111", "card_owner": "Kim Mina",
        "approval_number": "a-1", "reason": "because", "event_type": "PaymentCompleted", "message": "Hello.",
        "recipient": {"kind": "member", "id": "member-1"}, "context": "product", "sequence": 1,
    });
    all.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    EventType::find(EventType::ALL, event_type).unwrap().read(1, &all.to_string()).unwrap()
}
