//! The log: what happened, in order.

use crate::{
    Recorded, Trace,
    actor::Auth,
    database,
    error::Error,
    migration,
    platform::{Platform, PlatformError, Row, Value},
};
use contracts::{Event, EventType};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

const SQL: &str = include_str!("../../../sql/log.sql");
const VERSION: i64 = 4;

/// The newest event's sequence number; 0 while there is none.
pub(crate) const HEAD: &str =
    "SELECT max(coalesce((SELECT max(seq) FROM event), 0), (SELECT archived_to FROM log_archive))";

/// The columns of an event, in the order in which [`entry`] reads them.
pub(crate) const COLUMNS: &str =
    "seq, id, source, type, version, subject, time, correlation_id, causation_id, traceparent, data, authtype, authid";

/// An event as it stands in the log, of whatever type: also of one that this build does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the log.
    pub seq: i64,
    pub id: String,
    /// Who appended it: `/mealkit/<context>`.
    pub source: String,
    pub event_type: String,
    /// The version of its type that its data has the form of.
    pub version: u32,
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
    /// Who made it happen.
    pub auth: Auth,
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

/// Asks the log, and what stands beside it; makes it, if this is the first time that anybody does.
pub(crate) async fn ask(platform: &dyn Platform, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, Error> {
    match database::query(platform, sql, parameters.clone()).await {
        Err(PlatformError::Schema(_)) => {
            migrate(platform).await?;
            Ok(database::query(platform, sql, parameters).await?)
        }
        answer => Ok(answer?),
    }
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
        version: row.get(4).and_then(Value::integer).and_then(|version| u32::try_from(version).ok()).unwrap_or(1),
        subject: text(5),
        time: text(6),
        correlation_id: text(7),
        causation_id: text(8),
        traceparent: text(9),
        data: text(10),
        auth: Auth {
            kind: row.get(11).and_then(Value::text).unwrap_or(Auth::UNKNOWN).to_owned(),
            id: row.get(12).and_then(Value::text).map(str::to_owned),
        },
    })
}

impl Entry {
    /// Whether it can be read: it is of one of these types, and not in a version that only a newer build knows.
    pub(crate) fn is_known(&self, among: &[EventType]) -> bool {
        EventType::find(among, &self.event_type).is_some_and(|event_type| self.version <= event_type.version())
    }

    /// The event, if it is of one of these types.
    ///
    /// # Errors
    /// When its data is not of the form that its type has.
    pub(crate) fn recorded(&self, among: &[EventType]) -> Result<Option<Recorded>, Error> {
        let Some(event_type) = EventType::find(among, &self.event_type) else { return Ok(None) };
        Ok(Some(Recorded {
            seq: Some(self.seq),
            id: self.id.clone(),
            time: self.time.clone(),
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id.clone(),
            traceparent: self.traceparent.clone(),
            auth: self.auth.clone(),
            event: event_type.read(self.version, &self.data)?,
        }))
    }
}

/// Types of events as a list of SQL literals.
pub(crate) fn types(types: impl IntoIterator<Item = EventType>) -> String {
    let quoted: Vec<String> = types.into_iter().map(|name| format!("'{name}'")).collect();
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
        auth: trace.actor.auth(),
        event,
    }
}

/// An event as the unit of work takes it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Appended {
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: &'static str,
    version: u32,
    subject: String,
    time: String,
    correlation_id: String,
    causation_id: String,
    traceparent: String,
    authtype: String,
    authid: Option<String>,
    data: Box<RawValue>,
}

/// The events as the unit of work takes them.
///
/// # Errors
/// When one is of a type that the context does not append.
pub(crate) fn appended(context: &str, appends: &[EventType], events: &[Recorded]) -> Result<Vec<Appended>, Error> {
    let appended = |recorded: &Recorded| {
        let name = recorded.event.name();
        let event_type = EventType::find(appends, name).ok_or(Error::Missing("the type of an event in APPENDS"))?;
        Ok(Appended {
            id: recorded.id.clone(),
            source: source(context),
            event_type: name,
            version: event_type.version(),
            subject: recorded.event.subject().to_owned(),
            time: recorded.time.clone(),
            correlation_id: recorded.correlation_id.clone(),
            causation_id: recorded.causation_id.clone(),
            traceparent: recorded.traceparent.clone(),
            authtype: recorded.auth.kind.clone(),
            authid: recorded.auth.id.clone(),
            data: RawValue::from_string(event_type.write(&recorded.event)?)?,
        })
    };
    events.iter().map(appended).collect()
}

/// A context's events' CloudEvents `source`.
pub(crate) fn source(context: &str) -> String {
    format!("/mealkit/{context}")
}
