//! The log: what happened, in order.

use crate::{
    Recorded, Trace, database,
    dead_letter::OPEN,
    error::Error,
    migration,
    platform::{Platform, Row, Value},
    rows::{RowKey, Rows},
};
use contracts::Event;
use serde_json::{Value as Json, json};
use std::sync::Arc;

const SQL: &str = include_str!("../../../sql/log.sql");
const VERSION: i64 = 2;

/// The newest event's sequence number; 0 while there is none.
const HEAD: &str = "SELECT max(coalesce((SELECT max(seq) FROM event), 0), (SELECT archived_to FROM log_archive))";

/// The columns of an event, in the order in which [`entry`] reads them.
pub(crate) const COLUMNS: &str =
    "seq, id, source, type, subject, time, correlation_id, causation_id, traceparent, data";

/// An event as it stands in the log, of whatever type: also of one that this build does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the log.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// Who appended it: `/mealkit/<context>`.
    pub source: String,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub subject: String,
    /// When it was appended: RFC 3339, UTC.
    pub time: String,
    /// The order's id, or the id of the conversation where there is no order.
    pub correlation_id: String,
    /// The event or the request that caused it.
    pub causation_id: String,
    /// W3C trace context.
    pub traceparent: String,
    /// Its data: JSON, as it was written.
    pub data: String,
}

/// The log as outsiders read it.
pub struct Log {
    platform: Arc<dyn Platform>,
}

impl Log {
    /// Opens the log; makes it, if this is the first time that anybody does.
    ///
    /// # Errors
    /// When the database cannot be read or written, or its log is newer than this code.
    pub async fn open(platform: Arc<dyn Platform>) -> Result<Self, Error> {
        migrate(&*platform).await?;
        Ok(Self { platform })
    }

    /// Up to `limit` events after `after`; of one order, if it is given.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn events(&self, after: i64, order_id: Option<&str>, limit: usize) -> Result<Vec<Entry>, Error> {
        let filter = if order_id.is_some() { "subject = ?3 AND" } else { "" };
        let sql = format!("SELECT {COLUMNS} FROM event WHERE {filter} seq > ?1 ORDER BY seq LIMIT ?2");
        let mut parameters = vec![after.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
        parameters.extend(order_id.map(Value::from));
        database::query(&*self.platform, &sql, parameters).await?.iter().map(|row| entry(row)).collect()
    }

    /// Up to where the log is archived: those events are not in it any more.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn archived_to(&self) -> Result<i64, Error> {
        let rows = database::query(&*self.platform, "SELECT archived_to FROM log_archive", vec![]).await?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::integer).unwrap_or(0))
    }

    /// Writes what stands there already: whether the database can be written at all.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn probe(&self) -> Result<(), Error> {
        database::query(&*self.platform, "UPDATE schema_version SET version = version WHERE name = 'log'", vec![])
            .await?;
        Ok(())
    }

    /// Whose tables are being migrated at the moment, and to which version.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn migrations(&self) -> Result<Vec<(String, i64)>, Error> {
        Ok(migration::under_way(&*self.platform).await?)
    }

    /// How large the database is, in bytes.
    ///
    /// # Errors
    /// When the database cannot say.
    pub async fn database_bytes(&self) -> Result<i64, Error> {
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let rows = database::query(&*self.platform, sql, vec![]).await?;
        rows.first().and_then(|row| row.first()).and_then(Value::integer).ok_or(Error::Missing("the size"))
    }

    /// The sequence number of the newest event; 0 while there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn head(&self) -> Result<i64, Error> {
        head(&*self.platform).await
    }
}

pub(crate) async fn migrate(platform: &dyn Platform) -> Result<(), Error> {
    migration::migrate(platform, "log", VERSION, || [SQL.to_owned()]).await
}

pub(crate) async fn head(platform: &dyn Platform) -> Result<i64, Error> {
    let rows = database::query(platform, HEAD, vec![]).await?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Value::integer).unwrap_or(0))
}

/// An event from a row of [`COLUMNS`].
pub(crate) fn entry(row: &[Value]) -> Result<Entry, Error> {
    let text = |index: usize| row.get(index).and_then(Value::text).unwrap_or_default().to_owned();
    Ok(Entry {
        seq: row.first().and_then(Value::integer).ok_or(Error::Missing("a column"))?,
        id: text(1),
        source: text(2),
        event_type: text(3),
        subject: text(4),
        time: text(5),
        correlation_id: text(6),
        causation_id: text(7),
        traceparent: text(8),
        data: text(9),
    })
}

impl Entry {
    /// The event as this build understands it.
    ///
    /// # Errors
    /// When its data is not of the form that its type has.
    pub(crate) fn recorded(&self) -> Result<Recorded, Error> {
        Ok(Recorded {
            seq: Some(self.seq),
            id: self.id.clone(),
            time: self.time.clone(),
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id.clone(),
            traceparent: self.traceparent.clone(),
            event: Event::from_parts(&self.event_type, serde_json::from_str(&self.data)?)?,
        })
    }
}

/// What a consumer finds in the log: one snapshot of its cursor, the log's end, and the events in between.
pub(crate) struct Unread {
    pub position: i64,
    pub head: i64,
    /// When the first of its dead letters is to be tried again: Unix time, ms.
    pub due_at: Option<i64>,
    /// Whether any of its dead letters is open.
    pub parked: bool,
    /// Up to where the log is archived.
    pub archived_to: i64,
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

/// How many events a consumer reads and commits at once.
pub(crate) const BATCH: usize = 256;
/// How many events that do not concern a context may pile up behind its cursor before it steps over them.
const STRIDE: i64 = 1_000;

impl Unread {
    /// Keeps so many of the events at most; whether they are all there are.
    pub(crate) fn take(&mut self, limit: usize) -> bool {
        let all = self.events.len() <= limit && !self.more;
        self.events.truncate(limit);
        all
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_done(&self) -> bool {
        let nearly_at_the_end = self.head - self.position < STRIDE && self.position >= self.archived_to;
        self.events.is_empty() && self.due_at.is_none() && nearly_at_the_end
    }
}

/// One snapshot of what a context has not read yet, and of some of its rows.
pub(crate) struct Look {
    pub unread: Unread,
    pub rows: Rows,
}

/// The statement behind [`look`], for a context (its SQL name), the version of its schema, and the types that it consumes.
/// Its parameter are the ids of the rows. One statement, so that cursor, events and rows belong to one moment, and cost one
/// call to the host.
pub(crate) fn look_sql(context: &str, version: i64, consumes: &[&str]) -> String {
    let types = types(consumes);
    format!(
        "SELECT 'at', position, ({HEAD}), \
         (SELECT min(due_at) FROM {context}_dead_letter WHERE due_at IS NOT NULL), \
         EXISTS (SELECT 1 FROM {context}_dead_letter WHERE subject >= '' AND {OPEN}), \
         (SELECT archived_to FROM log_archive), NULL, NULL, NULL, NULL, NULL, NULL \
         FROM {context}_cursor UNION ALL \
         SELECT * FROM (SELECT 'event', {COLUMNS}, \
         EXISTS (SELECT 1 FROM {context}_dead_letter WHERE subject = event.subject AND {OPEN}) FROM event \
         WHERE seq > (SELECT position FROM {context}_cursor) AND type IN ({types}) ORDER BY seq LIMIT {BATCH}) UNION ALL \
         SELECT 'row', version, kind, id, row, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM {context}_row_v{version} \
         WHERE id IN (SELECT value FROM json_each(?))"
    )
}

/// Reads the answer to [`look_sql`]; of the rows, those that were asked for (ids of two kinds may be the same).
pub(crate) fn look(answer: &[Row], keys: &[RowKey]) -> Result<Look, Error> {
    let mut at = None;
    let mut events = Vec::new();
    let mut rows = Rows::default();
    for row in answer {
        match row.as_slice() {
            [Value::Text(tag), Value::Integer(position), Value::Integer(head), due_at, parked, archived_to, ..]
                if tag == "at" =>
            {
                at = Some((*position, *head, due_at.integer(), parked.integer() == Some(1), archived_to.integer()));
            }
            [Value::Text(tag), event @ .., waits] if tag == "event" => {
                events.push(Unheard { entry: entry(event)?, waits: waits.integer() == Some(1) });
            }
            [_, Value::Integer(version), Value::Text(kind), Value::Text(id), Value::Text(json), ..] => {
                if let Some(key) = keys.iter().find(|key| key.kind == kind && key.id == *id) {
                    rows.insert(key.clone(), *version, json.clone());
                }
            }
            _ => return Err(Error::Missing("a column")),
        }
    }
    let (position, head, due_at, parked, archived_to) = at.ok_or(Error::Missing("the context's cursor"))?;
    let more = events.len() >= BATCH;
    let archived_to = archived_to.unwrap_or(0);
    Ok(Look { unread: Unread { position, head, due_at, parked, archived_to, events, more }, rows })
}

/// Types of events as a list of SQL literals.
pub(crate) fn types(types: &[&str]) -> String {
    let quoted: Vec<String> = types.iter().map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

/// An event that is about to be appended.
pub(crate) fn fresh(event: Event, trace: &Trace, id: uuid::Uuid, time: &str) -> Recorded {
    // The order is the key of everything that follows from it; the catalogue goes by the conversation.
    let correlation_id = event.order_id().map_or(trace.correlation_id.clone(), |order| order.to_string());
    Recorded {
        seq: None,
        id: id.to_string(),
        time: time.to_owned(),
        correlation_id,
        causation_id: trace.causation_id.clone(),
        traceparent: trace.traceparent.clone(),
        event,
    }
}

/// The events as the unit of work takes them.
pub(crate) fn to_json(context: &str, events: &[Recorded]) -> serde_json::Result<Vec<Json>> {
    let json = |recorded: &Recorded| {
        Ok(json!({
            "id": recorded.id,
            "source": format!("/mealkit/{context}"),
            "type": recorded.event.event_type(),
            "subject": recorded.event.subject(),
            "time": recorded.time,
            "correlation_id": recorded.correlation_id,
            "causation_id": recorded.causation_id,
            "traceparent": recorded.traceparent,
            "data": recorded.event.data()?,
        }))
    };
    events.iter().map(json).collect()
}
