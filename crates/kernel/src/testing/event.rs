//! Events of which a test cares for some of the data only.

use contracts::{Event, EventType};
use serde_json::{Value as Json, json};

/// An id as the shop makes them, of which a greater number sorts behind: for what is read page by page.
pub fn id(number: u32) -> String {
    format!("01900000-0000-7000-8000-{number:012}")
}

/// An event of this type about this order (for the catalogue: about product `kit-1`), for tests that do not care what
/// else is in it.
pub fn event(event_type: &str, order_id: &str) -> Event {
    event_with(event_type, order_id, json!({}))
}

/// The same, with some of its data.
pub fn event_with(event_type: &str, order_id: &str, data: Json) -> Event {
    // Every event finds its fields in here; what it does not have it leaves aside.
    let mut all = json!({
        "order_id": order_id, "product_id": "kit-1", "member_id": "member-1", "seller_id": "seller-1",
        "payment_id": format!("payment-{order_id}"), "delivery_id": format!("delivery-{order_id}"),
        "notification_id": format!("notification-{order_id}"), "product_name": "Bibimbap", "name": "Bibimbap",
        "description": null, "image_url": null, "price": 12_000, "unit_price": 12_000, "quantity": 2, "stock": 8,
        "amount": 24_000, "address": "1 Sejong-daero, Seoul", "card": "**** 1111", "card_owner": "Kim Mina",
        "approval_number": "a-1", "reason": "because", "event_type": "PaymentCompleted", "message": "Hello.",
        "recipient": {"kind": "member", "id": "member-1"}, "context": "product", "sequence": 1,
        "courier_id": "courier-1", "roles": ["member"], "sessions": [], "kid": "key-1", "public_key": "a-key",
    });
    all.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    EventType::find(EventType::ALL, event_type).unwrap().read(1, &all.to_string()).unwrap()
}
