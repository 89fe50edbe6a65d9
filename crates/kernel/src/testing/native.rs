//! One instance's view of a world that several instances may share.

use super::{DEADLINE, app, fault::Hook, person};
use crate::{
    Trace, log,
    platform::{Platform, PlatformError, Row, Value, timestamp},
};
use axum::{Router, body::Bytes};
use contracts::{Event, EventType};
use futures::future::BoxFuture;
use http::{Request, Response};
use rusqlite::{Connection, config::DbConfig, types};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

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
    pub(super) hooks: Mutex<Vec<Hook>>,
    pub(super) calls: Mutex<Vec<String>>,
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
        self.append_as(Value::Null, source, event)
    }

    /// The same, as a build would that says that the data has the form of this version of its type.
    pub fn append_in_version(&self, version: i64, source: &str, event: Event) -> i64 {
        self.append_as(version.into(), source, event)
    }

    fn append_as(&self, version: Value, source: &str, event: Event) -> i64 {
        let recorded = log::fresh(event, &Trace::own(), uuid::Uuid::now_v7(), &timestamp(self.now()));
        let row = json!(log::appended(source, EventType::ALL, &[recorded]).unwrap());
        let sql = "INSERT INTO event (id, source, type, version, subject, time, correlation_id, causation_id, \
            traceparent, authtype, authid, data) SELECT value ->> 'id', value ->> 'source', value ->> 'type', \
            coalesce(?2, value ->> 'version'), value ->> 'subject', value ->> 'time', value ->> 'correlation_id', \
            value ->> 'causation_id', value ->> 'traceparent', value ->> 'authtype', value ->> 'authid', \
            value -> 'data' FROM json_each(?1) RETURNING seq";
        self.sql(sql, vec![row.to_string().into(), version]).first().and_then(|row| row.first()?.integer()).unwrap()
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
    /// own parameters, what a subquery found, and what a migration does once do not count.
    pub fn scans(&self) -> Vec<(String, String)> {
        const SMALL: [&str; 12] = [
            "shop_key",
            "consumer",
            "SCAN reader",
            "SCAN live",
            "SCAN part",
            "SCAN place",
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
        let is_once = |sql: &str| sql.starts_with("INSERT INTO product_text");
        self.plans("").into_iter().filter(|(step, sql)| is_scan(step) && !is_once(sql)).collect()
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
                // The key of the tests' people was published before the log began.
                let published = &*person::PUBLISHED;
                let is_asked_for = sql.contains(published.name()) && parameters.contains(&published.subject().into());
                let mut rows = run(&connection, sql, parameters);
                let error = rows.as_ref().err().cloned().map(PlatformError::of_sqlite);
                if !matches!(error, Some(PlatformError::Unavailable(_) | PlatformError::Schema(_))) {
                    *kept = Some(connection);
                }
                if let (Ok(rows), true) = (&mut rows, is_asked_for) {
                    let data = published.event_type().write(published).unwrap();
                    rows.insert(0, vec![published.name().into(), 1.into(), data.into(), 0.into()]);
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
            Ok(app::answer(routes, request).await)
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
