//! One event of each type, all about the same order of the same kit: what the tests of every context begin with. It is what
//! the newest golden file of its type has, so that nobody types it out a second time.
#![allow(clippy::expect_used, clippy::panic, reason = "only tests use it")]

use crate::{
    Event, EventType, OrderPlaced,
    charge::{CardNumber, ChargeRequest, NotACardNumber},
    ids::{DeliveryId, MemberId, NotificationId, OrderId, PaymentId, ProductId, SellerId},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fs, path::Path};

/// What was added to a type after its golden file was frozen.
const ADDED: &[(EventType, &str)] = &[(OrderPlaced::TYPE, r#"{"card": "**** 1111", "card_owner": "Kim Minji"}"#)];

pub fn product_id() -> ProductId {
    ProductId::new("01980000-0000-7000-8000-000000000001")
}

pub fn order_id() -> OrderId {
    OrderId::new("01980000-0000-7000-8000-000000000002")
}

pub fn payment_id() -> PaymentId {
    PaymentId::new("01980000-0000-7000-8000-000000000003")
}

pub fn delivery_id() -> DeliveryId {
    DeliveryId::new("01980000-0000-7000-8000-000000000004")
}

pub fn notification_id() -> NotificationId {
    NotificationId::new("01980000-0000-7000-8000-000000000005")
}

pub fn member_id() -> MemberId {
    MemberId::new("member-1")
}

pub fn seller_id() -> SellerId {
    SellerId::new("seller-1")
}

/// What order asks of payment for the order.
///
/// # Errors
/// Never: the card is good.
pub fn charge() -> Result<ChargeRequest, NotACardNumber> {
    Ok(ChargeRequest { order: OrderPlaced::sample(), card_number: CardNumber::parse("4111111111111111")? })
}

/// One of each type.
pub fn all() -> Vec<Event> {
    EventType::ALL.iter().copied().map(of).collect()
}

/// The one of this type.
pub fn of(event_type: EventType) -> Event {
    let data = data(event_type).to_string();
    event_type.read(event_type.version(), &data).unwrap_or_else(|error| unreadable(event_type, &error))
}

/// The golden file of a version of a type.
pub fn golden(event_type: EventType, version: u32) -> Value {
    let name = format!("golden/{event_type}/{version}.json");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).unwrap_or_else(|error| {
        panic!(
            "crates/contracts/{name}: {error}. Write there how such an event looks in the log; it stays so for ever."
        )
    });
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("crates/contracts/{name}: {error}"))
}

/// What [`of`] is made of, as the event that it is.
pub(crate) fn typed<T: DeserializeOwned>(event_type: EventType) -> T {
    serde_json::from_value(data(event_type)).unwrap_or_else(|error| unreadable(event_type, &error))
}

fn data(event_type: EventType) -> Value {
    let mut data = golden(event_type, event_type.version());
    for (_, added) in ADDED.iter().filter(|(it, _)| *it == event_type) {
        let added: Value = serde_json::from_str(added).expect("ADDED is JSON");
        if let (Value::Object(data), Value::Object(added)) = (&mut data, added) {
            data.extend(added);
        }
    }
    data
}

fn unreadable(event_type: EventType, error: &serde_json::Error) -> ! {
    panic!(
        "the newest golden file of {event_type} cannot be read any more: {error}. Logs are full of it: whatever was added since \
         must be optional, and any other change is a new version (docs/decisions/0016-event-versions.md)."
    )
}
