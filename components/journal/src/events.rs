//! The log as CloudEvents 1.0 in their JSON format.

use contracts::Event;
use kernel::{DataError, Recorded};
use serde::Serialize;
use serde_json::Value;

/// A CloudEvent (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
#[derive(Debug, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: &'static str,
    subject: String,
    time: String,
    /// The event's place in the log: an integer here and everywhere (docs/decisions/0004-sequence-is-an-integer.md).
    pub sequence: i64,
    correlationid: String,
    causationid: String,
    traceparent: String,
    datacontenttype: &'static str,
    data: Value,
}

impl CloudEvent {
    /// The event as outsiders see it.
    ///
    /// # Errors
    /// When its data cannot be written as JSON.
    pub fn new(source: String, recorded: Recorded) -> Result<Self, DataError> {
        let event: &Event = &recorded.event;
        Ok(Self {
            specversion: "1.0",
            source,
            event_type: event.event_type(),
            subject: event.subject().to_owned(),
            sequence: recorded.seq.unwrap_or_default(),
            datacontenttype: "application/json",
            data: event.data()?,
            id: recorded.id,
            time: recorded.time,
            correlationid: recorded.correlation_id,
            causationid: recorded.causation_id,
            traceparent: recorded.traceparent,
        })
    }
}
