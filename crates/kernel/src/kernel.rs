//! The engine: reads the log, lets a context decide, and commits.

use crate::{
    Context, Recorded, Trace,
    bell::Bell,
    context::sql_name,
    database::{self, DatabaseError, jitter},
    gate::Gate,
    idempotency::Attempt,
    log::{self, Unread},
    log_line::{self, Level},
    migration,
    platform::{self, Platform, Row, Value},
    rows::{Entity, RowKey, Rows, State, Versioned},
};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    marker::PhantomData,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// How many events a consumer reads and commits at once.
const BATCH: usize = 256;
/// How often a unit of work may lose its race before the request is answered with 503.
const TRIES: u32 = 30;

const CONTEXT_SQL: &str = include_str!("../../../sql/context.sql");

/// Why something could not be done, none of it the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A row or an event is not of the form that this code knows.
    #[error("a row or an event could not be read or written: {0}")]
    Data(#[from] serde_json::Error),
    /// Others were always faster.
    #[error("too many others work on the same at the moment")]
    Contended,
    /// The database was migrated by a newer build.
    #[error(
        "the tables of {name} have version {found}, but this build knows only {known}: deploy the newer build again"
    )]
    NewerSchema {
        /// Whose tables.
        name: String,
        /// The database's version.
        found: i64,
        /// This build's.
        known: i64,
    },
    /// Something that the migration makes is not there.
    #[error("{0} is missing from the database")]
    Missing(&'static str),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure<R> {
    /// The domain refused it.
    #[error("{0}")]
    Refused(R),
    /// The state has another version than the caller expected (`If-Match`).
    #[error("it has version {actual} by now")]
    Stale {
        /// The version it has; 0 when it does not exist.
        actual: i64,
    },
    /// Another request with the same idempotency key came first.
    #[error("another request with this idempotency key came first")]
    KeyTaken,
    /// It could not be tried.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Executed<S> {
    /// The state with the version of its first row.
    pub state: Versioned<S>,
    /// What happened; nothing, if all was already as the command wanted it.
    pub events: Vec<Recorded>,
}

/// Where a context stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Position {
    /// The last event that it has worked off.
    pub cursor: i64,
    /// How many events there are behind that.
    pub lag: i64,
}

/// One row into `{context}_commit`; see `sql/context.sql`.
#[derive(Clone, Debug, Default, Serialize)]
struct Unit {
    subject: Option<String>,
    seen: Option<i64>,
    from_position: Option<i64>,
    to_position: Option<i64>,
    keys: Vec<Json>,
    rows: Vec<Json>,
    events: Vec<Json>,
}

/// The SQL of a context, put together once.
struct Statements {
    unread: String,
    load: String,
    commit: String,
}

/// A context at work in one instance. Shared by all its requests.
pub struct Kernel<C: Context> {
    platform: Arc<dyn Platform>,
    statements: Statements,
    /// The doorbell.
    pub bell: Bell,
    commit_delay: Duration,
    /// One catch-up at a time.
    reading: Gate,
    /// How many catch-ups have begun, and the number of the last one that came to its end, with the log's end then.
    begun: AtomicU64,
    ended: Mutex<(u64, i64)>,
    context: PhantomData<C>,
}

impl<C: Context> Kernel<C> {
    /// Migrates the context's tables, if need be, and reads its settings.
    ///
    /// # Errors
    /// When the database cannot be used, or is newer than this code.
    pub async fn open(platform: Arc<dyn Platform>) -> Result<Arc<Self>, Error> {
        let name = sql_name(C::NAME);
        let watched: BTreeSet<&str> = C::CONSUMES.iter().chain(C::APPENDS).copied().collect();
        let watched: Vec<&str> = watched.into_iter().collect();
        // The context's own file comes first: the unit of work reads and writes its rows.
        let files =
            [C::SQL, CONTEXT_SQL].map(|f| f.replace("{context}", &name).replace("{watched}", &log::types(&watched)));
        log::migrate(&*platform).await?;
        migration::migrate(&*platform, &name, C::SCHEMA_VERSION, &files).await?;
        Ok(Arc::new(Self {
            statements: Statements {
                unread: log::unread_sql(C::NAME, C::CONSUMES, BATCH),
                load: format!(
                    "SELECT kind, id, version, row FROM {name}_row WHERE id IN (SELECT value FROM json_each(?))"
                ),
                commit: format!(
                    "INSERT INTO {name}_commit SELECT key, value ->> 'subject', value ->> 'seen', \
                     value ->> 'from_position', value ->> 'to_position', value -> 'keys', value -> 'rows', \
                     value -> 'events' FROM json_each(?) RETURNING unit"
                ),
            },
            bell: Bell::new(C::NAME, platform.clone()).await,
            commit_delay: Duration::from_millis(platform::number(&*platform, "commit_delay_ms", 0).await),
            reading: Gate::default(),
            begun: AtomicU64::new(0),
            ended: Mutex::default(),
            platform,
            context: PhantomData,
        }))
    }

    /// The world around the context.
    pub fn platform(&self) -> &Arc<dyn Platform> {
        &self.platform
    }

    /// Reads the log to its end and does what follows from it. Returns the sequence number up to which the
    /// context now knows everything.
    ///
    /// Mostly there is nothing to do, and looking is cheap. When there is, one catch-up runs at a time in an instance:
    /// whoever asks meanwhile waits, and is served by the next one, which began after the question and so has seen what
    /// the asker knows to be in the log. When the request that leads is given up, the next in line leads.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn catch_up(&self) -> Result<i64, Error> {
        let asked = self.begun.load(Ordering::SeqCst);
        if !self.reading.is_taken() {
            let unread = self.unread().await?;
            if unread.is_done() {
                return Ok(unread.head);
            }
        }
        loop {
            if let Ok(ended) = self.ended.lock()
                && ended.0 > asked
            {
                return Ok(ended.1);
            }
            if let Some(_reading) = self.reading.try_pass() {
                let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
                let head = self.read_on().await?;
                if let Ok(mut ended) = self.ended.lock() {
                    *ended = (number, head);
                }
                return Ok(head);
            }
            Gate::moment(&*self.platform).await;
        }
    }

    async fn read_on(&self) -> Result<i64, Error> {
        let mut lost = 0;
        loop {
            let unread = self.unread().await?;
            if unread.is_done() {
                return Ok(unread.head);
            }
            let complete = unread.events.len() < BATCH;
            let (units, fresh) = self.react(&unread).await?;
            let committed = self.commit(&units).await?;
            // Events of a unit that was skipped did not happen; a bell too many does no harm.
            if fresh {
                self.bell.wanted();
            }
            if committed < units.len() {
                // Another instance reads the same log. It went ahead, so there is less left for us.
                self.lose(&mut lost).await?;
            } else if complete {
                return Ok(unread.head);
            }
        }
    }

    /// The units of work that follow from what was read, and whether they append events.
    async fn react(&self, unread: &Unread) -> Result<(Vec<Unit>, bool), Error> {
        let keys: Vec<_> = unread.events.iter().map(C::concerns).collect();
        let mut rows = self.load(keys.iter().flatten().flat_map(C::State::rows).collect()).await?;
        let time = platform::timestamp(self.platform.now());
        let mut units = Vec::new();
        let mut from = unread.position;
        let mut fresh = false;
        for (event, key) in unread.events.iter().zip(&keys) {
            let Some(key) = key else { continue };
            let mut state = C::evolve(C::State::read(key, &rows)?, event);
            let mut events = Vec::new();
            if let Some(command) = C::whenever(event, Uuid::now_v7()) {
                let trace = Trace::of_event(&event.id, &event.correlation_id, &event.traceparent);
                match C::decide(&state, command) {
                    Ok(decided) => events = happen::<C>(decided, &trace, &time, &mut state),
                    // What a policy wants may have become pointless; the event was heard all the same.
                    Err(refusal) => self.say(Level::Info, "a policy was refused", &event.correlation_id, &refusal),
                }
            }
            state.write(&mut rows)?;
            let to = event.seq.unwrap_or(from);
            fresh |= !events.is_empty();
            units.push(Unit {
                from_position: Some(from),
                to_position: Some(to),
                rows: rows.changes(),
                events: log::to_json(C::NAME, &events)?,
                ..Unit::default()
            });
            from = to;
        }
        // What lies between the last unit and the end of what was read does not concern this context: step over it in
        // the same breath.
        let last = unread.events.last().and_then(|event| event.seq);
        let end = if unread.events.len() < BATCH { unread.head } else { last.unwrap_or(from) };
        match units.last_mut() {
            Some(unit) => unit.to_position = Some(end),
            None => units.push(step(from, end)),
        }
        Ok((units, fresh))
    }

    /// Carries out a command: catches up, decides, commits; and decides again whenever something came in between.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed then.
    pub async fn execute(
        &self,
        key: &<C::State as State>::Key,
        command: C::Command,
        trace: &Trace,
        if_match: Option<i64>,
        attempt: Option<&Attempt>,
    ) -> Result<Executed<C::State>, Failure<C::Refusal>> {
        let mut lost = 0;
        loop {
            let seen = self.catch_up().await?;
            let row_keys = C::State::rows(key);
            let mut rows = self.load(row_keys.iter().cloned().collect()).await?;
            let version = |rows: &Rows| row_keys.first().map_or(0, |first| rows.version(first));
            let mut state = C::State::read(key, &rows).map_err(Error::from)?;
            if let Some(expected) = if_match
                && expected != version(&rows)
            {
                return Err(Failure::Stale { actual: version(&rows) });
            }
            let decided = C::decide(&state, command.clone()).map_err(Failure::Refused)?;
            if decided.is_empty() {
                let state = Versioned { version: version(&rows), value: state };
                return Ok(Executed { state, events: vec![] });
            }
            let subject = decided.first().map(|event| event.subject().to_owned());
            let time = platform::timestamp(self.platform.now());
            let happened = happen::<C>(decided, trace, &time, &mut state);
            state.write(&mut rows).map_err(Error::from)?;
            let unit = Unit {
                subject,
                seen: Some(seen),
                keys: attempt.map(Attempt::keys).unwrap_or_default(),
                rows: rows.changes(),
                events: log::to_json(C::NAME, &happened).map_err(Error::from)?,
                ..Unit::default()
            };
            if !self.commit_delay.is_zero() {
                self.platform.sleep(self.commit_delay).await;
            }
            if self.commit(std::slice::from_ref(&unit)).await? == 1 {
                self.bell.wanted();
                for event in &happened {
                    self.say(Level::Info, event.event.event_type(), &event.correlation_id, &"");
                }
                return Ok(Executed { state: Versioned { version: version(&rows), value: state }, events: happened });
            }
            if let Some(attempt) = attempt
                && self.is_taken(attempt).await?
            {
                return Err(Failure::KeyTaken);
            }
            self.lose(&mut lost).await?;
        }
    }

    /// Moves the cursor to the log's very end, past what does not concern the context, and does what time asks for.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn settle(self: &Arc<Self>) -> Result<Position, Error> {
        C::settle(self).await?;
        self.catch_up().await?;
        let unread = self.unread().await?;
        if unread.events.is_empty() && unread.head > unread.position {
            // Refused when another instance moves it at this moment; then it moves anyway.
            self.commit(&[step(unread.position, unread.head)]).await?;
        }
        self.position().await
    }

    /// Where the context stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn position(&self) -> Result<Position, Error> {
        let unread = self.unread().await?;
        // Only what concerns the context counts: the rest is no work.
        let lag = i64::try_from(unread.events.len()).unwrap_or(i64::MAX);
        let lag = if unread.events.len() < BATCH { lag } else { unread.head - unread.position };
        Ok(Position { cursor: unread.position, lag })
    }

    /// One entity. Catches up first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn find<E: Entity>(&self, id: &E::Id) -> Result<Option<Versioned<E>>, Error> {
        self.catch_up().await?;
        let key = RowKey::of::<E>(id);
        let rows = self.load(BTreeSet::from([key.clone()])).await?;
        Ok(rows.get::<E>(id)?.map(|value| Versioned { version: rows.version(&key), value }))
    }

    /// The entities whose ids this statement selects, in its order. Catches up first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn select<E: Entity>(&self, ids: &str, parameters: Vec<Value>) -> Result<Vec<Versioned<E>>, Error> {
        self.catch_up().await?;
        let selected = self.query(ids, parameters).await?;
        let ids: Vec<&str> = selected.iter().filter_map(|row| row.first()?.text()).collect();
        let mut found = std::collections::BTreeMap::new();
        for row in self.query(&self.statements.load, vec![json!(ids).to_string().into()]).await? {
            let (key, version, json) = parts::<E>(&row)?;
            if let Some(key) = key {
                found.insert(key, Versioned { version, value: serde_json::from_value(json)? });
            }
        }
        Ok(ids.into_iter().filter_map(|id| found.remove(id)).collect())
    }

    async fn unread(&self) -> Result<Unread, Error> {
        log::unread(&self.query(&self.statements.unread, vec![]).await?)
    }

    /// Runs a statement on the context's own tables.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, Error> {
        Ok(database::query(&*self.platform, sql, parameters).await?)
    }

    async fn load(&self, keys: BTreeSet<RowKey>) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        if keys.is_empty() {
            return Ok(rows);
        }
        let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        for row in self.query(&self.statements.load, vec![json!(ids).to_string().into()]).await? {
            let (kind, id, version, json) = columns(&row)?;
            if let Some(key) = keys.iter().find(|key| key.kind == kind && key.id == id) {
                rows.insert(key.clone(), version, json);
            }
        }
        Ok(rows)
    }

    /// Commits units in one statement; returns how many of them were not skipped.
    async fn commit(&self, units: &[Unit]) -> Result<usize, Error> {
        if units.is_empty() {
            return Ok(0);
        }
        Ok(self.query(&self.statements.commit, vec![serde_json::to_string(units)?.into()]).await?.len())
    }

    async fn lose(&self, lost: &mut u32) -> Result<(), Error> {
        *lost += 1;
        if *lost > TRIES {
            return Err(Error::Contended);
        }
        self.platform.sleep(jitter(Duration::from_millis(u64::from(*lost).min(10)))).await;
        Ok(())
    }

    fn say(&self, level: Level, message: &str, correlation_id: &str, detail: &dyn std::fmt::Display) {
        let mut fields = json!({"correlation_id": correlation_id});
        let detail = detail.to_string();
        if let (Some(fields), false) = (fields.as_object_mut(), detail.is_empty()) {
            fields.insert("detail".into(), detail.into());
        }
        log_line::write(level, C::NAME, message, fields);
    }
}

/// What was decided becomes what happened, and changes the state.
fn happen<C: Context>(
    decided: Vec<contracts::Event>,
    trace: &Trace,
    time: &str,
    state: &mut C::State,
) -> Vec<Recorded> {
    let happened: Vec<_> = decided.into_iter().map(|event| log::fresh(event, trace, Uuid::now_v7(), time)).collect();
    *state = happened.iter().fold(std::mem::take(state), C::evolve);
    happened
}

/// A unit that only steps over what does not concern the context.
fn step(from: i64, to: i64) -> Unit {
    Unit { from_position: Some(from), to_position: Some(to), ..Unit::default() }
}

/// A row of `{context}_row`: kind, id, version, JSON.
fn columns(row: &[Value]) -> Result<(&str, &str, i64, Json), Error> {
    match row {
        [Value::Text(kind), Value::Text(id), Value::Integer(version), Value::Text(json)] => {
            Ok((kind, id, *version, serde_json::from_str(json)?))
        }
        _ => Err(Error::Missing("a column of a row")),
    }
}

/// The id (if it is of this kind), version and JSON of a row.
fn parts<E: Entity>(row: &[Value]) -> Result<(Option<String>, i64, Json), Error> {
    let (kind, id, version, json) = columns(row)?;
    Ok(((kind == E::KIND).then(|| id.to_owned()), version, json))
}
