//! Who caused what: the ids that tie a request, its events and everything that follows from them together.

use crate::{
    Recorded,
    actor::Actor,
    http::{Conditions, INTERNAL, only_line},
};
use http::HeaderMap;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// The header that carries the correlation id, in and out.
pub const CORRELATION_HEADER: &str = "x-correlation-id";
/// The header by which one context tells another which event made it ask. Whoever else sends it is not believed.
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
    /// Who asks.
    pub actor: Actor,
    /// What must hold of what the request is about.
    pub(crate) conditions: Conditions,
    /// What it made happen, shared with the traces that follow from it: the types of the events.
    events: Arc<Mutex<Vec<&'static str>>>,
}

impl Trace {
    /// The trace of an incoming request to this path.
    pub fn of_request(path: &str, headers: &HeaderMap) -> Self {
        let request_id = Uuid::now_v7().to_string();
        let given = header(headers, CORRELATION_HEADER);
        let cause = path.starts_with(INTERNAL).then(|| header(headers, CAUSATION_HEADER)).flatten();
        Self {
            given: given.is_some(),
            correlation_id: given.unwrap_or_else(|| request_id.clone()),
            causation_id: cause.unwrap_or(request_id),
            traceparent: child(only_line(headers, "traceparent").ok().flatten().and_then(|value| value.to_str().ok())),
            actor: Actor::Anonymous,
            conditions: Conditions::default(),
            events: Arc::default(),
        }
    }

    /// The trace of something that happens by itself, such as a time-out found by the catch-up.
    pub fn own() -> Self {
        Self::of_request("", &HeaderMap::new()).by(Actor::System)
    }

    /// The trace of what follows from an event.
    pub fn of_event(id: &str, correlation_id: &str, traceparent: &str) -> Self {
        Self {
            given: true,
            correlation_id: correlation_id.to_owned(),
            causation_id: id.to_owned(),
            traceparent: child(Some(traceparent)),
            actor: Actor::System,
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

    /// The same from this actor.
    pub fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
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

/// A header's value, if it is short visible ASCII, for it goes into logs, events and answers, and said once.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = only_line(headers, name).ok()??.to_str().ok()?;
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

/// Trace id and flags of a valid `traceparent` (<https://www.w3.org/TR/trace-context/#traceparent-header>). One of a later
/// version is read as far as this version goes (section 3.2.4), and of its flags what this version knows: whether it is
/// sampled.
fn parse(traceparent: &str) -> Option<(String, String)> {
    let mut parts = traceparent.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let real = |id: &str| id.bytes().any(|b| b != b'0');
    // What stands behind the flags is a later version's.
    let is_known = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !(is_known && hex(trace, 32) && hex(span, 16) && real(trace) && real(span) && hex(flags, 2)) {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
    Some((trace.to_owned(), format!("{sampled:02x}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn a_trace_goes_on_with_a_span_of_its_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let next = child(Some(parent));
        assert!(next.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && next.ends_with("-01"));
        assert_ne!(next, parent);
        assert!(parse(&next).is_some());
    }

    const IDS: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

    #[test]
    fn a_later_traceparent_is_read_as_far_as_this_version_goes() {
        for (later, sampled) in
            [("01-IDS-01", "01"), ("cc-IDS-00-what-comes", "00"), ("fe-IDS-ff-", "01"), ("00-IDS-ff", "01")]
        {
            let next = child(Some(&later.replace("IDS", IDS)));
            assert!(next.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{later}: {next}");
            assert!(next.ends_with(&format!("-{sampled}")), "{later}: {next}");
        }
    }

    #[test]
    fn a_broken_traceparent_starts_a_new_trace() {
        let none = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        for broken in [
            "",
            "ff",
            "00-xyz-1-01",
            none,
            "00-IDS-01-",
            "00-IDS-01-00",
            "ff-IDS-01",
            "01-IDS-0",
            "01-IDS",
            "01-IDS-011",
            "1-IDS-01",
            "0G-IDS-01",
            "01-IDS-0g",
            "00-IDS -01",
        ] {
            let next = child(Some(&broken.replace("IDS", IDS)));
            assert!(parse(&next).is_some() && !next.contains("0af76519"), "{broken}: {next}");
        }
    }

    #[test]
    fn what_is_said_twice_is_not_believed() {
        let trace = |lines: &[(&'static str, &'static str)]| {
            let line = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            Trace::of_request("/internal/charges", &lines.iter().map(line).collect())
        };
        const PARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert!(trace(&[PARENT]).traceparent.contains("0af76519"));
        assert!(!trace(&[PARENT, PARENT]).traceparent.contains("0af76519"));
        assert!(trace(&[(CORRELATION_HEADER, "a")]).given);
        assert!(!trace(&[(CORRELATION_HEADER, "a"), (CORRELATION_HEADER, "a")]).given);
        assert_eq!(trace(&[(CAUSATION_HEADER, "a")]).causation_id, "a");
        assert_ne!(trace(&[(CAUSATION_HEADER, "a"), (CAUSATION_HEADER, "b")]).causation_id, "a");
    }

    #[test]
    fn only_a_context_says_which_event_made_it_ask() {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static(CAUSATION_HEADER), HeaderValue::from_static("a"))]);
        assert_eq!(Trace::of_request("/internal/charges", &headers).causation_id, "a");
        for outside in ["/orders", "/internal", "/orders/internal/", "//internal/", "/Internal/"] {
            assert_ne!(Trace::of_request(outside, &headers).causation_id, "a", "{outside}");
        }
    }
}
