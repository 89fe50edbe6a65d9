//! The log as an outsider sees it.

use crate::{Json, Shop};
use serde::Deserialize;
use std::collections::BTreeSet;

/// An event on the wire: CloudEvents 1.0, in JSON.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub specversion: String,
    pub id: String,
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: String,
    pub time: String,
    pub datacontenttype: String,
    pub sequence: Json,
    pub correlationid: String,
    pub causationid: String,
    pub traceparent: String,
    pub authtype: String,
    pub authid: Option<String>,
    pub data: Json,
}

impl Event {
    /// Its place in the log. CloudEvents has it as a text.
    pub fn seq(&self) -> i64 {
        self.sequence.as_i64().or(self.sequence.as_str().and_then(|text| text.parse().ok())).expect("a sequence number")
    }

    /// The trace that it belongs to (W3C trace context).
    pub fn trace_id(&self) -> &str {
        self.trace().unwrap_or_else(|| panic!("no traceparent: {self:?}"))
    }

    fn trace(&self) -> Option<&str> {
        let parts: Vec<&str> = self.traceparent.split('-').collect();
        let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
        match parts.as_slice() {
            ["00", trace, span, flags] if hex(trace, 32) && hex(span, 16) && hex(flags, 2) => Some(trace),
            _ => None,
        }
    }

    /// Whether whoever appends events of its type has appended it.
    fn is_by_its_context(&self) -> bool {
        let source = match &*self.kind {
            "ProductRegistered" | "ProductModified" | "StockDecreased" | "OutOfStock" | "StockRestored" => {
                "/mealkit/product"
            }
            "OrderPlaced" | "OrderRejected" | "OrderCancelled" => "/mealkit/order",
            "PaymentCompleted" | "PaymentDeclined" | "PaymentCancelled" => "/mealkit/payment",
            "DeliveryRequested" | "DeliveryAssigned" | "DeliveryCompleted" | "DeliveryCancelled" => "/mealkit/delivery",
            "MemberRegistered"
            | "RolesChanged"
            | "SessionsRevoked"
            | "MemberClosed"
            | "SigningKeyPublished"
            | "SigningKeyRetired" => "/mealkit/member",
            "Notified" => "/mealkit/marketing",
            // Whoever is delayed says so itself.
            "HandlingDelayed" | "HandlingResumed" => {
                return self.data["context"].as_str() == self.source.strip_prefix("/mealkit/");
            }
            _ => return false,
        };
        self.source == source
    }
}

/// The events about one order.
#[derive(Debug, PartialEq)]
pub struct Events(pub Vec<Event>);

impl Events {
    /// Their types, in the order of the log.
    pub fn types(&self) -> Vec<&str> {
        self.0.iter().map(|event| event.kind.as_str()).collect()
    }

    /// All of this type.
    pub fn all(&self, kind: &str) -> Vec<&Event> {
        self.0.iter().filter(|event| event.kind == kind).collect()
    }

    /// The first of this type.
    pub fn first(&self, kind: &str) -> Option<&Event> {
        self.0.iter().find(|event| event.kind == kind)
    }

    /// The only one of this type.
    pub fn one(&self, kind: &str) -> &Event {
        match self.all(kind).as_slice() {
            [one] => one,
            _ => panic!("not exactly one {kind}: {:?}", self.types()),
        }
    }

    /// Whether there is one of this type.
    pub fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|event| event.kind == kind)
    }

    /// Whether they are of these types, in whatever order.
    pub fn are(&self, kinds: &[&str]) -> bool {
        let (mut types, mut kinds) = (self.types(), kinds.to_vec());
        types.sort_unstable();
        kinds.sort_unstable();
        types == kinds
    }

    /// Each is there once, and stands behind the one before.
    pub fn assert_order(&self, kinds: &[&str]) -> &Self {
        let places: Vec<i64> = kinds.iter().map(|kind| self.one(kind).seq()).collect();
        assert!(places.is_sorted(), "not in the order {kinds:?}: {:?}", self.types());
        self
    }

    /// The causation chain: `(effect, cause)`.
    pub fn assert_caused(&self, chain: &[(&str, &str)]) -> &Self {
        for (effect, cause) in chain {
            let (effect, cause) = (self.one(effect), self.one(cause));
            assert_eq!(effect.causationid, cause.id, "{} is not caused by {}", effect.kind, cause.kind);
            assert_eq!(effect.trace_id(), cause.trace_id(), "{} has left the trace of {}", effect.kind, cause.kind);
        }
        self
    }

    /// What holds for the events of every order.
    pub fn assert_well_formed(&self, order_id: &str) -> &Self {
        let flaws = self.flaws(order_id);
        assert!(flaws.is_empty(), "{flaws:#?}");
        self
    }

    /// What is wrong with the form of the events about an order.
    pub fn flaws(&self, order_id: &str) -> Vec<String> {
        let mut flaws = vec![];
        let mut law = |holds: bool, what: &str, event: &dyn std::fmt::Debug| {
            if !holds {
                flaws.push(format!("{what}: {event:?}"));
            }
        };
        law(self.0.is_sorted_by(|a, b| a.seq() < b.seq()), "not in the order of the log", &self.types());
        let ids: BTreeSet<&str> = self.0.iter().map(|event| event.id.as_str()).collect();
        law(ids.len() == self.0.len(), "an id was given twice", &self.types());
        for event in &self.0 {
            law(event.specversion == "1.0" && event.datacontenttype == "application/json", "no CloudEvent", event);
            law(event.is_by_its_context(), "not by its context", event);
            law(event.subject == order_id && event.correlationid == order_id, "not about the order", event);
            law(event.data["order_id"] == order_id, "not with the order's data", event);
            law(event.time.ends_with('Z') && event.time.len() >= 20, "no RFC 3339 time in UTC", event);
            law(event.trace().is_some(), "no traceparent", event);
            law(!event.causationid.is_empty() && event.causationid != event.id, "no cause", event);
        }
        // Whoever was told was told by reason of an event in this log.
        for notified in self.all("Notified") {
            let cause = self.0.iter().find(|event| event.id == notified.causationid);
            let told = cause.is_some_and(|cause| notified.data["event_type"] == cause.kind.as_str());
            law(told, "told of nothing that happened", notified);
        }
        flaws
    }
}

impl Shop {
    /// The events about an order.
    pub fn events(&self, order_id: &str) -> Events {
        let page = self.get(&format!("/events?order_id={order_id}&limit=100")).is(200);
        Events(serde_json::from_value(page["items"].clone()).unwrap_or_else(|error| panic!("{error}: {page}")))
    }

    /// All events behind this place in the log.
    pub fn events_after(&self, seq: i64) -> Vec<Event> {
        let mut events: Vec<Event> = vec![];
        loop {
            let after = events.last().map_or(seq, Event::seq);
            let page = self.get(&format!("/events?after={after}&limit=100")).is(200);
            let items: Vec<Event> = serde_json::from_value(page["items"].clone()).expect("events");
            events.extend(items);
            if page["next"].is_null() {
                return events;
            }
        }
    }
}
