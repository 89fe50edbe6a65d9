//! The engine without its database: the log, the cursors and the unit of work in memory, by the rules of `catch_up.rs`, `execute.rs` and
//! `sql/context.sql`. Between deciding and committing, time stands still for as long as a test wants it to.
#![allow(clippy::expect_used, reason = "only tests use it")]

use crate::{
    Context, Entity, Recorded, RowKey, Rows, State, Trace, context::sql_name, log, read::BATCH, rows::ChangedRow, unit,
};
use contracts::{Event, EventType};
use std::{collections::BTreeMap, marker::PhantomData};
use uuid::Uuid;

/// When everything happens.
const TIME: &str = "2026-01-01T00:00:00.000Z";

/// What a unit of work must fulfil. A test takes one rule away to show that nothing holds without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A command's decision has seen every event about its subject that matters to its context.
    pub condition: bool,
    /// A policy stands where it expects to stand.
    pub cursor: bool,
    /// Every row has still the version that was decided on.
    pub versions: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { condition: true, cursor: true, versions: true }
    }
}

/// An event in the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The context that appended it.
    pub source: &'static str,
    /// What happened.
    pub recorded: Recorded,
}

#[derive(Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
    /// The rules by which it is appended to.
    pub rules: Rules,
    /// Every unit of work that somebody tried to commit, in order.
    pub tried: Vec<Tried>,
}

impl Log {
    /// All of it, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What came after this sequence number.
    pub fn after(&self, seq: i64) -> &[Entry] {
        usize::try_from(seq).ok().and_then(|seq| self.entries.get(seq..)).unwrap_or_default()
    }

    /// The sequence number of the newest event; 0 while there is none.
    pub fn head(&self) -> i64 {
        i64::try_from(self.entries.len()).unwrap_or(i64::MAX)
    }

    /// Writes an event into the log that nobody decided on.
    pub fn forge(&mut self, source: &'static str, event: Event) {
        self.append(source, &[fresh(event, &Trace::own())]);
    }

    fn append(&mut self, source: &'static str, events: &[Recorded]) {
        for event in events {
            let recorded = Recorded { seq: Some(self.head() + 1), ..event.clone() };
            self.entries.push(Entry { source, recorded });
        }
    }
}

/// A unit of work: decided, not yet committed.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    condition: Option<(String, i64)>,
    cursor: Option<(i64, i64)>,
    rows: Vec<ChangedRow>,
    events: Vec<Recorded>,
}

impl Unit {
    /// What will have happened.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|event| &event.event)
    }
}

impl Unit {
    /// The same for `sql/context.sql`: the statement that commits it, and its parameter.
    fn sql<C: Context>(&self) -> (String, String) {
        let (subject, seen) = self.condition.clone().unzip();
        let (from_position, to_position) = self.cursor.unzip();
        let events = log::appended(C::NAME, C::APPENDS, &self.events).expect("types that the context appends");
        let rows = self.rows.clone();
        let unit = unit::Unit { subject, seen, from_position, to_position, rows, events, ..unit::Unit::default() };
        let statement = unit::statement(&sql_name(C::NAME), C::SCHEMA_VERSION);
        (statement, serde_json::to_string(&[unit]).expect("a unit that is JSON"))
    }
}

/// A unit of work that somebody tried to commit.
#[derive(Clone, Debug)]
pub struct Tried {
    unit: Unit,
    sql: fn(&Unit) -> (String, String),
    /// Whether it was committed, or skipped.
    pub committed: bool,
}

impl Tried {
    /// The same for a database: the statement that commits it, and its parameter.
    pub fn sql(&self) -> (String, String) {
        (self.sql)(&self.unit)
    }
}

/// A context at work: its cursor and its rows.
pub struct Model<C> {
    position: i64,
    rows: BTreeMap<(String, String), (i64, String)>,
    context: PhantomData<C>,
}

impl<C> Default for Model<C> {
    fn default() -> Self {
        Self { position: 0, rows: BTreeMap::new(), context: PhantomData }
    }
}

/// What a context does whichever it is.
pub trait Member {
    fn name(&self) -> &'static str;

    /// How far it has read the log.
    fn position(&self) -> i64;

    /// What follows from the next events, up to so many of them; `None` when there are none.
    fn read(&self, log: &Log, limit: usize) -> Option<Unit>;

    /// Commits a unit; `false` when it was skipped.
    fn commit(&mut self, log: &mut Log, unit: &Unit) -> bool;

    /// Its rows: kind, id, version and JSON of each, in order.
    fn rows(&self) -> Vec<(String, String, i64, String)>;

    /// Reads the log to its end and does what follows from it.
    fn catch_up(&mut self, log: &mut Log) {
        while let Some(unit) = self.read(log, BATCH) {
            self.commit(log, &unit);
        }
    }
}

impl<C: Context> Model<C> {
    /// An entity as it is stored.
    pub fn find<E: Entity>(&self, id: &E::Id) -> Option<E> {
        self.load([RowKey::of::<E>(id)]).get(id).expect("a row of its entity's form")
    }

    /// Decides on a command, after catching up.
    ///
    /// # Errors
    /// When the command is refused.
    pub fn decide(&mut self, log: &mut Log, command: C::Command) -> Result<Unit, C::Refusal> {
        self.catch_up(log);
        let key = C::target(&command);
        let mut rows = self.load(C::State::rows(&key));
        let mut state = C::State::read(&key, &rows).expect("rows of their entities' form");
        let decided = C::decide(&state, command)?;
        let condition = decided.first().map(|event| (event.subject().to_owned(), log.head()));
        let events = happen::<C>(decided, &Trace::own(), &mut state);
        state.write(&mut rows).expect("entities that are JSON");
        Ok(Unit { condition, rows: rows.changes().expect("JSON"), events, ..Unit::default() })
    }

    fn load(&self, keys: impl IntoIterator<Item = RowKey>) -> Rows {
        let mut rows = Rows::default();
        for key in keys {
            if let Some((version, json)) = self.rows.get(&(key.kind.to_owned(), key.id.clone())) {
                rows.insert(key, *version, json.clone());
            }
        }
        rows
    }

    /// Whether the unit fulfils the rules.
    fn fulfils(&self, log: &Log, unit: &Unit) -> bool {
        let watched = |event: &Event| C::CONSUMES.iter().chain(C::APPENDS).any(|known| known.as_str() == event.name());
        let condition = unit.condition.as_ref().is_none_or(|(subject, seen)| {
            !log.after(*seen).iter().map(|entry| &entry.recorded.event).any(|e| e.subject() == subject && watched(e))
        });
        let cursor = unit.cursor.is_none_or(|(from, _)| from == self.position);
        let versions = unit.rows.iter().all(|new| {
            let key = (new.kind.clone(), new.id.clone());
            new.was == self.rows.get(&key).map_or(0, |(version, _)| *version)
        });
        (condition || !log.rules.condition) && (cursor || !log.rules.cursor) && (versions || !log.rules.versions)
    }
}

impl<C: Context> Member for Model<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn position(&self) -> i64 {
        self.position
    }

    fn read(&self, log: &Log, limit: usize) -> Option<Unit> {
        let known = |event: &&Recorded| EventType::find(C::CONSUMES, event.event.name()).is_some();
        let mut unread = log.after(self.position).iter().map(|entry| &entry.recorded).filter(known);
        let events: Vec<&Recorded> = unread.by_ref().take(limit).collect();
        let last = events.last()?.seq.unwrap_or(self.position);
        let end = if unread.next().is_none() { log.head() } else { last };
        let mut unit = Unit { cursor: Some((self.position, end)), ..Unit::default() };
        let keys = events.iter().filter_map(|event| C::concerns(event));
        let mut rows = self.load(keys.flat_map(|key| C::State::rows(&key)));
        for event in events {
            let Some(key) = C::concerns(event) else { continue };
            let state = C::State::read(&key, &rows).expect("rows of their entities' form");
            let mut state = C::evolve(state, event);
            let command = C::whenever(event, Uuid::now_v7());
            // A policy that is refused has heard the event all the same.
            let decided = command.and_then(|command| C::decide(&state, command).ok()).unwrap_or_default();
            let trace = Trace::of_event(&event.id, &event.correlation_id, &event.traceparent);
            unit.events.extend(happen::<C>(decided, &trace, &mut state));
            state.write(&mut rows).expect("entities that are JSON");
        }
        unit.rows = rows.changes().expect("JSON");
        Some(unit)
    }

    fn commit(&mut self, log: &mut Log, unit: &Unit) -> bool {
        let committed = self.fulfils(log, unit);
        log.tried.push(Tried { unit: unit.clone(), sql: Unit::sql::<C>, committed });
        if !committed {
            return false;
        }
        if let Some((_, to)) = unit.cursor {
            self.position = to;
        }
        for new in &unit.rows {
            self.rows.insert((new.kind.clone(), new.id.clone()), (new.version, new.row.get().to_owned()));
        }
        log.append(C::NAME, &unit.events);
        true
    }

    fn rows(&self) -> Vec<(String, String, i64, String)> {
        let row = |((kind, id), (version, json)): (&(String, String), &(i64, String))| {
            (kind.clone(), id.clone(), *version, json.clone())
        };
        self.rows.iter().map(row).collect()
    }
}

fn happen<C: Context>(decided: Vec<Event>, trace: &Trace, state: &mut C::State) -> Vec<Recorded> {
    let happened: Vec<_> = decided.into_iter().map(|event| fresh(event, trace)).collect();
    *state = happened.iter().fold(std::mem::take(state), C::evolve);
    happened
}

fn fresh(event: Event, trace: &Trace) -> Recorded {
    log::fresh(event, trace, Uuid::now_v7(), TIME)
}
