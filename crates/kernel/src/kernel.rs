//! The engine: reads the log, lets a context decide, and commits.

use crate::{
    Context, Recorded, Trace,
    bell::Bell,
    commit::{Committer, Unit},
    context::sql_name,
    correlation::trace_id,
    database::{self, jitter},
    dead_letter::{Letter, Retry, Status},
    error::{Error, Failure},
    gate::Gate,
    idempotency::Attempt,
    log::{self, Look, Unheard, Unread},
    log_line::{self, Level},
    migration,
    platform::{self, Platform, Row, Value},
    rows::{Entity, RowKey, Rows, State, Versioned},
};
use serde::Serialize;
use serde_json::json;
use std::{
    collections::BTreeSet,
    marker::PhantomData,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// How often a unit of work may lose its race before the request is answered with 503.
const TRIES: u32 = 30;

const CONTEXT_SQL: &str = include_str!("../../../sql/context.sql");

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

/// A context at work in one instance. Shared by all its requests.
pub struct Kernel<C: Context> {
    platform: Arc<dyn Platform>,
    look: String,
    committer: Committer,
    /// How dead letters are tried again.
    pub(crate) retry: Retry,
    /// Whether any letter was open when last looked.
    letters: AtomicBool,
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
        let (name, version) = (sql_name(C::NAME), C::SCHEMA_VERSION);
        log::migrate(&*platform).await?;
        migration::migrate(&*platform, &name, version, schema::<C>).await?;
        platform.renew();
        Ok(Arc::new(Self {
            look: log::look_sql(&name, version, C::CONSUMES),
            committer: Committer::new(&name, version),
            retry: Retry::of(&*platform).await,
            letters: AtomicBool::new(false),
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
        self.catch_up_from(asked, self.look(&[]).await?.unread).await
    }

    /// Catches up from what was just read, `asked` being how many catch-ups had begun before that.
    async fn catch_up_from(&self, asked: u64, unread: Unread) -> Result<i64, Error> {
        if unread.is_done() {
            return Ok(unread.head);
        }
        let mut unread = Some(unread);
        loop {
            if let Ok(ended) = self.ended.lock()
                && ended.0 > asked
            {
                return Ok(ended.1);
            }
            if let Some(_reading) = self.reading.try_pass() {
                let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
                let (serves, unread) = match unread {
                    // Read when we asked, so it may be older than the questions of those who asked since.
                    Some(unread) if number == asked + 1 => (asked, unread),
                    _ => (number, self.look(&[]).await?.unread),
                };
                let head = self.work_off(unread).await?;
                if let Ok(mut ended) = self.ended.lock() {
                    *ended = (serves, head);
                }
                return Ok(head);
            }
            // What was read before the wait is old by now.
            unread = None;
            Gate::moment(&*self.platform).await;
        }
    }

    /// Catches up, and loads rows. Returns with them the sequence number up to which they know everything.
    async fn current(&self, keys: &[RowKey]) -> Result<(i64, Rows), Error> {
        let asked = self.begun.load(Ordering::SeqCst);
        let Look { unread, rows } = self.look(keys).await?;
        if unread.is_done() {
            return Ok((unread.head, rows));
        }
        let head = self.catch_up_from(asked, unread).await?;
        // Rows that know even more than that only make the condition stricter.
        Ok((head, self.look(keys).await?.rows))
    }

    async fn work_off(&self, mut unread: Unread) -> Result<i64, Error> {
        if unread.position < unread.archived_to {
            return Err(Error::Archived { to: unread.archived_to });
        }
        let mut lost = 0;
        let mut at_once = usize::MAX;
        while !unread.is_done() {
            if unread.due_at.is_some() {
                if self.retry_due().await? == 0 {
                    // Their events are in the log no more, so nothing can be done here.
                    unread.due_at = None;
                    continue;
                }
            } else {
                let all = unread.take(at_once);
                match self.work_off_batch(&unread, all, lost).await {
                    Ok(true) if all => return Ok(unread.head),
                    Ok(true) => {}
                    // Another instance reads the same log. It went ahead, so there is less left for us.
                    Ok(false) => self.lose(&mut lost).await?,
                    Err(error) if error.is_poison() => match unread.events.as_slice() {
                        [] => return Err(error),
                        [poison] => {
                            let (from, to) = (Some(unread.position), Some(poison.entry.seq));
                            let parking = self.parking(&poison.entry, &error)?;
                            self.commit(&[Unit { from_position: from, to_position: to, ..parking }]).await?;
                            at_once = usize::MAX;
                        }
                        // One of them spoils it for all.
                        several => at_once = several.len() / 2,
                    },
                    Err(error) => return Err(error),
                }
            }
            unread = self.look(&[]).await?.unread;
        }
        Ok(unread.head)
    }

    /// Does what follows from what was read; `all` says that it is all there is. `false` when others were faster.
    async fn work_off_batch(&self, unread: &Unread, all: bool, lost: u32) -> Result<bool, Error> {
        let (mut units, types) = self.react(unread, all).await?;
        if let Some(first) = units.first_mut() {
            first.conflicts = lost;
        }
        let committed = self.commit(&units).await?;
        // Events of a unit that was skipped did not happen; a bell too many does no harm.
        self.bell.wanted(types);
        Ok(committed == units.len())
    }

    /// The units of work that follow from what was read, and the types of the events that they append.
    async fn react(&self, unread: &Unread, all: bool) -> Result<(Vec<Unit>, BTreeSet<&'static str>), Error> {
        let mut heard = Vec::with_capacity(unread.events.len());
        for unheard in &unread.events {
            let recorded = if unheard.waits { None } else { Some(unheard.entry.recorded()?) };
            let key = recorded.as_ref().and_then(C::concerns);
            heard.push((unheard, recorded.zip(key)));
        }
        let keys = heard.iter().filter_map(|(_, handled)| handled.as_ref());
        let row_keys: Vec<RowKey> = keys.flat_map(|(_, key)| C::State::rows(key)).collect();
        let mut rows = self.look(&row_keys).await?.rows;
        let time = platform::timestamp(self.platform.now());
        let mut units = Vec::new();
        let mut from = unread.position;
        let mut types = BTreeSet::new();
        let batch = Some(Uuid::now_v7());
        for (Unheard { entry, waits }, handled) in &heard {
            let follows = !units.is_empty();
            let mut unit = Unit { batch, follows, ..Unit::step(from, entry.seq) };
            if let Some((recorded, key)) = handled {
                let events = self.handle(recorded, key, &mut rows, &time)?;
                types.extend(events.iter().map(|event| event.event.event_type()));
                unit.rows = rows.changes();
                unit.events = log::to_json(C::NAME, &events)?;
            } else if *waits {
                unit.letters = vec![Letter::parked(entry, Status::Waiting, &time)];
            } else {
                continue;
            }
            units.push(unit);
            from = entry.seq;
        }
        // What lies between the last unit and the end of what was read does not concern this context: step over it in
        // the same breath.
        let last = unread.events.last().map(|unheard| unheard.entry.seq);
        let end = if all { unread.head } else { last.unwrap_or(from) };
        match units.last_mut() {
            Some(unit) => unit.to_position = Some(end),
            None => units.push(Unit::step(from, end)),
        }
        Ok((units, types))
    }

    /// What follows from one event: it changes the state, and a policy may make more happen.
    pub(crate) fn handle(
        &self,
        event: &Recorded,
        key: &<C::State as State>::Key,
        rows: &mut Rows,
        time: &str,
    ) -> Result<Vec<Recorded>, Error> {
        let mut state = C::evolve(C::State::read(key, rows)?, event);
        let mut events = Vec::new();
        if let Some(command) = C::whenever(event, Uuid::now_v7()) {
            let trace = Trace::of_event(&event.id, &event.correlation_id, &event.traceparent);
            match C::decide(&state, command) {
                Ok(decided) => events = happen::<C>(decided, &trace, time, &mut state),
                // What a policy wants may have become pointless; the event was heard all the same.
                Err(refusal) => {
                    let fields = json!({"correlation_id": event.correlation_id,
                        "trace_id": trace_id(&event.traceparent), "detail": refusal.to_string()});
                    log_line::write(Level::Info, C::NAME, "a policy was refused", fields);
                }
            }
        }
        state.write(rows)?;
        Ok(events)
    }

    /// The rows of a state.
    pub(crate) async fn load(&self, key: &<C::State as State>::Key) -> Result<Rows, Error> {
        Ok(self.look(&C::State::rows(key)).await?.rows)
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
        let decide = |state: &C::State| {
            let decided = C::decide(state, command.clone())?;
            let subject = decided.first().map(|event| event.subject().to_owned());
            let time = platform::timestamp(self.platform.now());
            let mut state = state.clone();
            let events = happen::<C>(decided, trace, &time, &mut state);
            Ok(Decision { subject, state, events })
        };
        let executed = self.change(key, if_match, attempt, decide).await?;
        trace.happened(executed.events.iter().map(|event| event.event.event_type()));
        Ok(executed)
    }

    /// Changes the state by itself, without an event: what only this context has to remember about the subject, such as
    /// an intent. What it decides on is as fresh as a command's.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed then.
    pub async fn remember(
        &self,
        key: &<C::State as State>::Key,
        subject: &str,
        change: impl Fn(&C::State) -> Result<C::State, C::Refusal>,
    ) -> Result<Versioned<C::State>, Failure<C::Refusal>> {
        let decide = |state: &C::State| {
            Ok(Decision { subject: Some(subject.to_owned()), state: change(state)?, events: vec![] })
        };
        Ok(self.change(key, None, None, decide).await?.state)
    }

    async fn change(
        &self,
        key: &<C::State as State>::Key,
        if_match: Option<i64>,
        attempt: Option<&Attempt>,
        decide: impl Fn(&C::State) -> Result<Decision<C::State>, C::Refusal>,
    ) -> Result<Executed<C::State>, Failure<C::Refusal>> {
        let mut lost = 0;
        loop {
            let row_keys = C::State::rows(key);
            let (seen, mut rows) = self.current(&row_keys).await?;
            let version = |rows: &Rows| row_keys.first().map_or(0, |first| rows.version(first));
            let before = C::State::read(key, &rows).map_err(Error::from)?;
            if let Some(expected) = if_match
                && expected != version(&rows)
                && version(&rows) > 0
            {
                return Err(Failure::Stale { actual: version(&rows) });
            }
            let Decision { subject, state, events } = decide(&before).map_err(Failure::Refused)?;
            if events.is_empty() && state == before {
                return Ok(Executed { state: Versioned { version: version(&rows), value: state }, events });
            }
            state.write(&mut rows).map_err(Error::from)?;
            let unit = Unit {
                subject: subject.clone(),
                seen: Some(seen),
                conflicts: lost,
                keys: attempt.map(Attempt::keys).unwrap_or_default(),
                rows: rows.changes(),
                events: log::to_json(C::NAME, &events).map_err(Error::from)?,
                ..Unit::default()
            };
            if !self.commit_delay.is_zero() {
                self.platform.sleep(self.commit_delay).await;
            }
            // A unit that is tried again after its request's leader was given up may find itself committed already.
            if self.commit(std::slice::from_ref(&unit)).await? == 1 || self.is_logged(events.first()).await? {
                self.bell.wanted(events.iter().map(|event| event.event.event_type()));
                return Ok(Executed { state: Versioned { version: version(&rows), value: state }, events });
            }
            if let Some(attempt) = attempt
                && self.is_taken(attempt).await?
            {
                return Err(Failure::KeyTaken);
            }
            if let Some(subject) = subject
                && !self.parked(&[&subject]).await?.is_empty()
            {
                return Err(Error::Delayed(subject).into());
            }
            self.lose(&mut lost).await?;
        }
    }

    /// Reads the log to its end, moves the cursor there, past what does not concern the context, and returns where it stands.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn rest(&self) -> Result<Position, Error> {
        self.catch_up().await?;
        let unread = self.look(&[]).await?.unread;
        if unread.events.is_empty() && unread.head > unread.position {
            // Refused when another instance moves it at this moment; then it moves anyway.
            self.commit(&[Unit::step(unread.position, unread.head)]).await?;
        }
        self.position().await
    }

    /// Whether the log can be read from its very beginning.
    ///
    /// # Errors
    /// [`Error::Archived`] when it cannot.
    pub async fn whole_log(&self) -> Result<(), Error> {
        match self.look(&[]).await?.unread.archived_to {
            0 => Ok(()),
            to => Err(Error::Archived { to }),
        }
    }

    /// Where the context stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn position(&self) -> Result<Position, Error> {
        let unread = self.look(&[]).await?.unread;
        // Only what concerns the context counts: the rest is no work.
        let lag = i64::try_from(unread.events.len()).unwrap_or(i64::MAX);
        let lag = if unread.more { unread.head - unread.position } else { lag };
        Ok(Position { cursor: unread.position, lag })
    }

    /// One entity. Catches up first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn find<E: Entity>(&self, id: &E::Id) -> Result<Option<Versioned<E>>, Error> {
        let key = RowKey::of::<E>(id);
        let (_, rows) = self.current(std::slice::from_ref(&key)).await?;
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
        let keys: Vec<RowKey> = ids.iter().map(|id| RowKey { kind: E::KIND, id: (*id).to_owned() }).collect();
        let rows = self.look(&keys).await?.rows;
        let entity = |key: &RowKey| {
            let value = rows.at::<E>(key)?;
            Ok(value.map(|value| Versioned { version: rows.version(key), value }))
        };
        keys.iter().filter_map(|key| entity(key).transpose()).collect()
    }

    /// One snapshot of what the context has not read yet, and of these rows.
    async fn look(&self, keys: &[RowKey]) -> Result<Look, Error> {
        let ids: BTreeSet<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        let rows = self.query(&self.look, vec![json!(ids).to_string().into()]).await?;
        let mut look = log::look(&rows, keys)?;
        self.letters.store(look.unread.parked, Ordering::Relaxed);
        look.unread.due_at = look.unread.due_at.filter(|due_at| self.retry.is_due(*due_at, self.platform.now()));
        Ok(look)
    }

    /// Whether any dead letter was open when last looked.
    pub(crate) fn has_letters(&self) -> bool {
        self.letters.load(Ordering::Relaxed)
    }

    /// Runs a statement on the context's own tables.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, Error> {
        Ok(database::query(&*self.platform, sql, parameters).await?)
    }

    /// Commits units; returns how many of them were not skipped.
    pub(crate) async fn commit(&self, units: &[Unit]) -> Result<usize, Error> {
        self.committer.commit(&*self.platform, units).await
    }

    /// Whether an event is in the log.
    async fn is_logged(&self, event: Option<&Recorded>) -> Result<bool, Error> {
        let Some(event) = event else { return Ok(false) };
        let sql = "SELECT 1 FROM event WHERE id = ?";
        Ok(!self.query(sql, vec![event.id.as_str().into()]).await?.is_empty())
    }

    async fn lose(&self, lost: &mut u32) -> Result<(), Error> {
        *lost += 1;
        if *lost > TRIES {
            return Err(Error::Contended);
        }
        self.platform.sleep(jitter(Duration::from_millis(u64::from(*lost).min(10)))).await;
        Ok(())
    }
}

/// The SQL that makes the context's tables, views and triggers.
pub fn schema<C: Context>() -> [String; 2] {
    let watched: BTreeSet<&str> = C::CONSUMES.iter().chain(C::APPENDS).copied().collect();
    let watched: Vec<&str> = watched.into_iter().collect();
    // The context's own file comes first: the unit of work reads and writes its rows.
    [C::SQL, CONTEXT_SQL].map(|file| {
        let file = file.replace("{context}", &sql_name(C::NAME)).replace("{version}", &C::SCHEMA_VERSION.to_string());
        file.replace("{watched}", &log::types(&watched))
    })
}

/// What a unit of work is made of.
struct Decision<S> {
    subject: Option<String>,
    state: S,
    events: Vec<Recorded>,
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
