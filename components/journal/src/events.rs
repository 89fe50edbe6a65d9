//! The log as CloudEvents 1.0 in their JSON format.

use contracts::EventType;
use kernel::{DataError, Entry};
use serde::Serialize;
use serde_json::value::RawValue;

/// A CloudEvent (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
#[derive(Debug, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    time: String,
    /// The event's place in the log: an integer here and everywhere (docs/decisions/0004-sequence-is-an-integer.md).
    pub sequence: i64,
    correlationid: String,
    causationid: String,
    traceparent: String,
    /// Who made it happen (the extension "Auth Context").
    authtype: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authid: Option<String>,
    /// Which version of its type the data has the form of; left out for the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    dataschema: Option<String>,
    datacontenttype: &'static str,
    data: Box<RawValue>,
}

impl TryFrom<Entry> for CloudEvent {
    type Error = DataError;

    /// The data goes out as it was written, of whatever form it is.
    fn try_from(entry: Entry) -> Result<Self, DataError> {
        let dataschema = (entry.version > 1).then(|| EventType::dataschema(&entry.event_type, entry.version));
        Ok(Self {
            specversion: "1.0",
            id: entry.id,
            source: entry.source,
            event_type: entry.event_type,
            subject: entry.subject,
            time: entry.time,
            sequence: entry.seq,
            correlationid: entry.correlation_id,
            causationid: entry.causation_id,
            traceparent: entry.traceparent,
            authtype: entry.auth.kind,
            authid: entry.auth.id,
            dataschema,
            datacontenttype: "application/json",
            data: RawValue::from_string(entry.data)?,
        })
    }
}
