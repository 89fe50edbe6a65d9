//! Who caused what: the ids that tie a request, its events and everything that follows from them together.

use crate::{Recorded, http::Conditions};
use http::HeaderMap;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// The header that carries the correlation id, in and out.
pub const CORRELATION_HEADER: &str = "x-correlation-id";
/// The header by which one context tells another which event made it ask.
pub const CAUSATION_HEADER: &str = "x-causation-id";

/// Where a command comes from.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What the caller calls the whole conversation; without a wish of the caller's, this request's own id.
    pub correlation_id: String,
    /// Whether the caller gave the correlation id.
    pub given: bool,
    /// The event or request that caused the command.
    pub causation_id: String,
    /// W3C trace context, with a span id of our own.
    pub traceparent: String,
    /// What must hold of what the request is about.
    pub(crate) conditions: Conditions,
    /// What it made happen, shared with the traces that follow from it: the types of the events.
    events: Arc<Mutex<Vec<&'static str>>>,
}

impl Trace {
    /// The trace of an incoming request.
    pub fn of_request(headers: &HeaderMap) -> Self {
        let request_id = Uuid::now_v7().to_string();
        let given = header(headers, CORRELATION_HEADER);
        Self {
            given: given.is_some(),
            correlation_id: given.unwrap_or_else(|| request_id.clone()),
            causation_id: header(headers, CAUSATION_HEADER).unwrap_or(request_id),
            traceparent: child(headers.get("traceparent").and_then(|value| value.to_str().ok())),
            conditions: Conditions::default(),
            events: Arc::default(),
        }
    }

    /// The trace of something that happens by itself, such as a time-out found by the catch-up.
    pub fn own() -> Self {
        Self::of_request(&HeaderMap::new())
    }

    /// The trace of what follows from an event.
    pub fn of_event(id: &str, correlation_id: &str, traceparent: &str) -> Self {
        Self {
            given: true,
            correlation_id: correlation_id.to_owned(),
            causation_id: id.to_owned(),
            traceparent: child(Some(traceparent)),
            conditions: Conditions::default(),
            events: Arc::default(),
        }
    }

    /// The trace of what the same request does next, because of an event that it made happen.
    pub fn following(&self, event: &Recorded) -> Self {
        let trace = Self::of_event(&event.id, &event.correlation_id, &event.traceparent);
        Self { events: self.events.clone(), ..trace }
    }

    /// The same under these conditions.
    pub fn under(self, conditions: Conditions) -> Self {
        Self { conditions, ..self }
    }

    /// Events of these types happened because of it: they stand in the request's log line.
    pub fn happened(&self, types: impl IntoIterator<Item = &'static str>) {
        if let Ok(mut events) = self.events.lock() {
            events.extend(types);
        }
    }

    /// The types of the events that happened because of it, in their order.
    pub fn events(&self) -> Vec<&'static str> {
        self.events.lock().map(|events| events.clone()).unwrap_or_default()
    }
}

/// The trace id in a `traceparent`: what log lines are found by, beside spans.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

/// A header's value, if it is short visible ASCII: it goes into logs, events and answers.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    let fits = !value.is_empty() && value.len() <= 128 && value.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| value.to_owned())
}

/// A `traceparent` that continues this one with a new span, or starts a trace when this is none.
fn child(parent: Option<&str>) -> String {
    let (trace, flags) = parent.and_then(parse).unwrap_or_else(|| (Uuid::now_v7().simple().to_string(), "01".into()));
    // The last 64 bits of a UUIDv7 are random but for two.
    let span = Uuid::now_v7().as_u128() as u64;
    format!("00-{trace}-{span:016x}-{flags}")
}

/// Trace id and flags of a valid `traceparent` (<https://www.w3.org/TR/trace-context/#traceparent-header>).
fn parse(traceparent: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    match parts.as_slice() {
        ["00", trace, span, flags] if hex(trace, 32) && hex(span, 16) && hex(flags, 2) => {
            let real = |id: &str| id.bytes().any(|b| b != b'0');
            (real(trace) && real(span)).then(|| ((*trace).to_owned(), (*flags).to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_with_a_span_of_its_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let next = child(Some(parent));
        assert!(next.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && next.ends_with("-01"));
        assert_ne!(next, parent);
        assert!(parse(&next).is_some());
    }

    #[test]
    fn a_broken_traceparent_starts_a_new_trace() {
        for broken in ["", "00-xyz-1-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "ff"] {
            assert!(parse(&child(Some(broken))).is_some());
        }
    }
}
