//! Reading: what a context knows about a subject, with what it has not read yet *folded* onto its rows in memory.
//!
//! A row is as old as its context's cursor. Where the unread events change rows of their own subject only
//! ([`Context::BY_SUBJECT`]), whoever asks about a subject needs no more than the unread events about it: they are few,
//! and found by an index. Nothing is written; the events take effect when the context reads them in their turn.

use crate::{
    Context, Kernel,
    context::sql_name,
    dead_letter::OPEN,
    error::Error,
    log::{self, COLUMNS, Entry, HEAD},
    platform::{Row, Value},
    rows::{Entity, RowKey, Rows, State, Versioned},
};
use contracts::{Event, EventType};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fmt,
    sync::atomic::Ordering::{Relaxed, SeqCst},
};
use uuid::Uuid;

/// How many events a consumer reads and commits at once.
pub(crate) const BATCH: usize = 256;
/// How many events that do not concern a context may pile up behind its cursor before it steps over them.
const STRIDE: i64 = 1_000;
/// How many rows are asked for by a parameter each; more than that come as one JSON array.
const FEW: usize = 4;

/// What a consumer finds in the log: one snapshot of its cursor, the log's end, and the events in between.
pub(crate) struct Unread {
    pub position: i64,
    pub head: i64,
    /// Up to where the log is archived.
    pub archived_to: i64,
    /// Whether a dead letter is due to be tried again.
    pub due: bool,
    pub events: Vec<Unheard>,
    /// Whether there are more events than were read.
    pub more: bool,
}

/// An event that a consumer has not read yet.
pub(crate) struct Unheard {
    pub entry: Entry,
    /// An earlier event about the same subject is parked: this one has to wait behind it.
    pub waits: bool,
}

impl Unread {
    /// Keeps so many of the events at most; whether they are all there are.
    pub(crate) fn take(&mut self, limit: usize) -> bool {
        let all = self.events.len() <= limit && !self.more;
        self.events.truncate(limit);
        all
    }

    /// Leaves aside what a newer build acts on and this one does not know, be it the type or its version, with all that
    /// comes behind it. Returns its place in the log when there is nothing before it.
    pub(crate) fn stop_at_unknown(&mut self, consumes: &[EventType]) -> Option<i64> {
        let place = self.events.iter().position(|unheard| !unheard.entry.is_known(consumes))?;
        let seq = self.events.get(place).map(|unheard| unheard.entry.seq);
        self.events.truncate(place);
        self.more = true;
        seq.filter(|_| place == 0)
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_done(&self) -> bool {
        let nearly_at_the_end = self.head - self.position < STRIDE && self.position >= self.archived_to;
        self.events.is_empty() && !self.due && nearly_at_the_end
    }
}

/// One snapshot of what a context has not read yet, and of some of its rows.
pub(crate) struct Look {
    pub unread: Unread,
    pub rows: Rows,
}

/// What a decision is made on: some rows, and the sequence number up to which they know everything.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    pub seen: i64,
    pub rows: Rows,
}

/// A state that was read, to decide on later; see [`Execution::on`](crate::execute::Execution::on).
#[derive(Clone, Debug)]
pub struct Known<C: Context> {
    pub state: C::State,
    pub(crate) basis: Basis,
}

/// The statements by which a context looks, made once.
pub(crate) struct Looks {
    at: String,
    unread: String,
    about: String,
    rows: String,
}

impl Looks {
    /// For a context of this name, with the types that it consumes.
    pub(crate) fn new(name: &str, consumes: &[EventType]) -> Self {
        let context = sql_name(name);
        let position = format!("(SELECT position FROM consumer WHERE name = '{name}')");
        let waits = format!("EXISTS (SELECT 1 FROM {context}_dead_letter WHERE subject = event.subject AND {OPEN})");
        let types = log::types(consumes.iter().copied());
        Self {
            at: format!(
                "SELECT 'at', position, ({HEAD}), (SELECT archived_to FROM log_archive), \
                 (SELECT min(due_at) FROM {context}_dead_letter WHERE due_at IS NOT NULL), \
                 EXISTS (SELECT 1 FROM {context}_dead_letter WHERE subject >= '' AND {OPEN}), \
                 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM consumer WHERE name = '{name}'"
            ),
            // What a newer build reads is seen by an older one, too: as what it must not step over.
            unread: format!(
                "SELECT * FROM (SELECT 'event', {COLUMNS}, {waits} FROM event WHERE seq > {position} AND (type IN ({types}) \
                 OR type IN (SELECT value FROM consumer, json_each(consumes) WHERE name = '{name}')) \
                 ORDER BY seq LIMIT {BATCH})"
            ),
            about: format!(
                "SELECT 'event', {COLUMNS}, {waits} FROM event INDEXED BY event_subject \
                 WHERE seq > {position} AND type IN ({types}) AND subject"
            ),
            rows: format!(
                "SELECT 'row', version, kind, id, row, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL \
                 FROM {context}_row WHERE id"
            ),
        }
    }

    /// All that is unread, and these rows.
    fn all(&self, ids: &Ids) -> String {
        let rows = if ids.0.is_empty() { String::new() } else { format!(" UNION ALL {} {ids}", self.rows) };
        format!("{} UNION ALL {}{rows}", self.at, self.unread)
    }

    /// What is unread about these rows, and the rows.
    fn about(&self, ids: &Ids) -> String {
        format!("{} UNION ALL {} {ids} UNION ALL {} {ids}", self.at, self.about, self.rows)
    }

    /// These rows alone.
    fn rows(&self, ids: &Ids) -> String {
        format!("{} {ids}", self.rows)
    }
}

/// The ids of rows as a condition: a parameter each where they are few, so that nothing has to be unpacked.
struct Ids(Vec<String>);

impl Ids {
    fn of(keys: &[RowKey]) -> Self {
        let ids: BTreeSet<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        Self(ids.into_iter().map(str::to_owned).collect())
    }

    fn parameters(self) -> Vec<Value> {
        match self.0.len() {
            0..=FEW => self.0.into_iter().map(Value::from).collect(),
            _ => vec![json!(self.0).to_string().into()],
        }
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("= ?1"),
            few @ 2..=FEW => {
                let places: Vec<String> = (1..=few).map(|place| format!("?{place}")).collect();
                write!(f, "IN ({})", places.join(", "))
            }
            _ => f.write_str("IN (SELECT value FROM json_each(?1))"),
        }
    }
}

impl<C: Context> Kernel<C> {
    /// All that the context has not read yet, and these rows, in one snapshot.
    pub(crate) async fn look(&self, keys: &[RowKey]) -> Result<Look, Error> {
        let ids = Ids::of(keys);
        self.looked(&self.looks.all(&ids), ids, keys).await
    }

    /// What it has not read yet about these rows, and the rows, in one snapshot.
    async fn look_about(&self, keys: &[RowKey]) -> Result<Look, Error> {
        let ids = Ids::of(keys);
        let mut look = self.looked(&self.looks.about(&ids), ids, keys).await?;
        look.unread.events.sort_unstable_by_key(|unheard| unheard.entry.seq);
        Ok(look)
    }

    async fn looked(&self, sql: &str, ids: Ids, keys: &[RowKey]) -> Result<Look, Error> {
        let answer = self.query(sql, ids.parameters()).await?;
        let mut rows = Rows::default();
        let mut events = Vec::new();
        let mut at = None;
        for row in &answer {
            match row.as_slice() {
                [
                    Value::Text(tag),
                    Value::Integer(position),
                    Value::Integer(head),
                    Value::Integer(archived_to),
                    rest @ ..,
                ] if tag == "at" => {
                    at = Some((*position, *head, *archived_to, rest));
                }
                [Value::Text(tag), event @ .., waits] if tag == "event" => {
                    events.push(Unheard { entry: log::entry(event)?, waits: waits.integer() == Some(1) });
                }
                row => insert(&mut rows, row, keys)?,
            }
        }
        let (position, head, archived_to, rest) = at.ok_or(Error::Missing("the context's place in `consumer`"))?;
        let integer = |index: usize| rest.get(index).and_then(Value::integer);
        let due = integer(0).is_some_and(|due_at| self.retry.is_due(due_at, self.platform().now()));
        self.letters.store(integer(1) == Some(1), Relaxed);
        let more = events.len() >= BATCH;
        Ok(Look { unread: Unread { position, head, archived_to, due, events, more }, rows })
    }

    /// These rows as they are.
    pub(crate) async fn load(&self, keys: &[RowKey]) -> Result<Rows, Error> {
        let ids = Ids::of(keys);
        let answer = self.query(&self.looks.rows(&ids), ids.parameters()).await?;
        let mut rows = Rows::default();
        for row in &answer {
            insert(&mut rows, row, keys)?;
        }
        Ok(rows)
    }

    /// Rows with all that the log says about them. What is unread is folded onto them, if `fold` allows it and no policy has
    /// to act on it; else it is caught up with first, as it is where rows change by other subjects' events.
    pub(crate) async fn basis(&self, keys: &[RowKey], fold: bool) -> Result<Basis, Error> {
        let asked = self.begun.load(SeqCst);
        if C::BY_SUBJECT {
            let Look { unread, mut rows } = self.look_about(keys).await?;
            let read = unread.position >= unread.archived_to && !unread.due;
            if read && (unread.events.is_empty() || fold && self.fold(&unread.events, &mut rows)?) {
                return Ok(Basis { seen: unread.head, rows });
            }
        }
        let Look { unread, rows } = self.look(keys).await?;
        if unread.is_done() {
            return Ok(Basis { seen: unread.head, rows });
        }
        let seen = self.catch_up_from(asked, unread).await?;
        // Rows that know even more than that only make the condition stricter.
        Ok(Basis { seen, rows: self.load(keys).await? })
    }

    /// Applies events to rows in memory; `false` when that does not tell all that follows from them.
    fn fold(&self, events: &[Unheard], rows: &mut Rows) -> Result<bool, Error> {
        for Unheard { entry, waits } in events {
            let recorded = match entry.recorded(C::CONSUMES) {
                Ok(Some(recorded)) if !waits => recorded,
                Ok(None) => continue,
                // It is parked, or is going to be.
                Ok(Some(_)) => return Ok(false),
                Err(error) if error.is_poison() => return Ok(false),
                Err(error) => return Err(error),
            };
            if C::whenever(&recorded, Uuid::nil()).is_some() {
                return Ok(false);
            }
            if let Some(key) = C::concerns(&recorded) {
                C::evolve(C::State::read(&key, rows)?, &recorded).write(rows)?;
            }
        }
        Ok(true)
    }

    /// A state as it is by now, to decide on after something else was done.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn known(&self, key: &<C::State as State>::Key) -> Result<Known<C>, Error> {
        let basis = self.basis(&C::State::rows(key), false).await?;
        Ok(Known { state: C::State::read(key, &basis.rows)?, basis })
    }

    /// One entity, as the log has it by now.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn find<E: Entity>(&self, id: &E::Id) -> Result<Option<Versioned<E>>, Error> {
        let key = RowKey::of::<E>(id);
        let basis = self.basis(std::slice::from_ref(&key), true).await?;
        Ok(basis.rows.versioned(&key)?)
    }

    /// The entities that this condition (with what follows it) selects from the context's rows, in its order. Catches up
    /// first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn select<E: Entity>(&self, condition: &str, parameters: Vec<Value>) -> Result<Vec<Versioned<E>>, Error> {
        let (table, kind) = (sql_name(C::NAME), E::KIND);
        let sql = format!("SELECT version, row FROM {table}_row WHERE kind = '{kind}' AND {condition}");
        self.select_by(&sql, parameters).await
    }

    /// The same for a statement that finds their versions and rows in a way of its own.
    ///
    /// # Errors
    /// When the log or the context's tables cannot be used.
    pub async fn select_by<E: Entity>(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Versioned<E>>, Error> {
        self.catch_up().await?;
        let selected = self.query(sql, parameters).await?;
        let entity = |row: &Row| match row.as_slice() {
            [Value::Integer(version), Value::Text(row)] => {
                Ok(Versioned { version: *version, value: serde_json::from_str(row)? })
            }
            _ => Err(Error::Missing("a column")),
        };
        selected.iter().map(entity).collect()
    }

    /// The first event of a type about a subject, if there is one in the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn told(&self, event_type: EventType, subject: &str) -> Result<Option<Event>, Error> {
        let sql =
            format!("SELECT {COLUMNS} FROM event WHERE subject = ? AND type = '{event_type}' ORDER BY seq LIMIT 1");
        let rows = self.query(&sql, vec![subject.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(log::entry(row)?.recorded(&[event_type])?.map(|recorded| recorded.event))
    }

    /// The state after each event about a subject, from its first one on; nothing where that is archived.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn history(
        &self,
        key: &<C::State as State>::Key,
        subject: &str,
    ) -> Result<Vec<Versioned<C::State>>, Error> {
        let watched = [C::CONSUMES, C::APPENDS].concat();
        let sql = format!(
            "SELECT {COLUMNS} FROM event WHERE subject = ? AND type IN ({}) ORDER BY seq LIMIT {BATCH}",
            log::types(watched.iter().copied())
        );
        let mut rows = Rows::default();
        let mut states = Vec::new();
        for row in self.query(&sql, vec![subject.into()]).await? {
            let entry = log::entry(&row)?;
            // What happened since a version from the future, only a newer build can tell.
            let Some(recorded) = entry.is_known(&watched).then(|| entry.recorded(&watched)).transpose()?.flatten()
            else {
                break;
            };
            let value = C::evolve(C::State::read(key, &rows)?, &recorded);
            value.write(&mut rows)?;
            let version = C::State::rows(key).first().map_or(0, |first| rows.version(first));
            states.push(Versioned { version, value });
        }
        Ok(states)
    }
}

fn insert(rows: &mut Rows, row: &[Value], keys: &[RowKey]) -> Result<(), Error> {
    let [_, Value::Integer(version), Value::Text(kind), Value::Text(id), Value::Text(json), ..] = row else {
        return Err(Error::Missing("a column"));
    };
    // Ids of two kinds may be the same.
    if let Some(key) = keys.iter().find(|key| key.kind == kind && key.id == *id) {
        rows.insert(key.clone(), *version, json.clone());
    }
    Ok(())
}
